import type { Hex } from "viem";
import { PipelineError } from "#schema/errors";

/**
 * How the influence of training records is measured, by the name that stands in the method string. What a store keeps of each,
 * and in which unit, `solve.ts` says:
 * - `efim-dual`, the default: the exact damped empirical Fisher of each LoRA matrix.
 * - `datainf`, for comparison with what OpenLedger names.
 * - `grad-dot`, the product of gradients under the trained adapter.
 * - `trak`, by the margin log(p / (1 − p)), for models that have converged: where p is near 1 gradients of log p vanish.
 * - `tracin`, the product of gradients over the training's waypoints.
 * - `less`, the likeness of Adam's step for a record with the query's gradient, over the waypoints.
 * - `hybrid`: `efim-dual`, averaged with the similarity of the texts on its scale (`influence/trajectory.ts`). It ranks records
 *   best in the measurements, and is in part no cause: the influence says so by its name.
 */
export const influenceMethods = [
  "efim-dual",
  "datainf",
  "grad-dot",
  "trak",
  "tracin",
  "less",
  "hybrid",
] as const;
export type InfluenceMethod = (typeof influenceMethods)[number];

/** Methods a store is made for. */
export type StoreMethod = Exclude<InfluenceMethod, "hybrid">;

/** @throws InfluenceMethodError naming those there are. */
export function influenceMethodFrom(name: string): InfluenceMethod {
  const found = influenceMethods.find((method) => method === name);
  if (found === undefined) throw new InfluenceMethodError(name);
  return found;
}

/** The store whose scores a method starts from. */
export function storeMethodOf(method: InfluenceMethod): StoreMethod {
  return method === "hybrid" ? "efim-dual" : method;
}

/** Whether a method looks at the training's way, and not at its end alone. */
export function needsWaypoints(method: InfluenceMethod): boolean {
  return method === "tracin" || method === "less";
}

export class InfluenceMethodError extends PipelineError {
  override readonly name = "InfluenceMethodError";
  constructor(name: string) {
    super(
      `INFLUENCE_METHOD ${name}: there is no such method. Choose one of ${influenceMethods.join(", ")}.`,
      {
        code: "influence_method",
        retryable: false,
      },
    );
  }
}

/** A training that kept no states on its way, under a method that measures by them. */
export class WaypointsMissingError extends PipelineError {
  override readonly name = "WaypointsMissingError";
  constructor(adapterHash: Hex, method: InfluenceMethod) {
    super(
      `adapter ${adapterHash} was trained without waypoints, and this engine measures records by ${method}, which needs them. Train it with --waypoints 4.`,
      { code: "waypoints_missing", retryable: false },
    );
  }
}
