import type { Hex } from "viem";
import { PipelineError } from "#schema/errors";
import { dualRecordsMax } from "../influence/efim.ts";

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

/** Methods a store is made for. `efim-primal` is `efim-dual` of more records than that solves for, on projected gradients. */
export type StoreMethod = Exclude<InfluenceMethod, "hybrid"> | "efim-primal";

/** @throws InfluenceMethodError naming those there are. */
export function influenceMethodFrom(name: string): InfluenceMethod {
  const found = influenceMethods.find((method) => method === name);
  if (found === undefined) throw new InfluenceMethodError(name);
  return found;
}

/**
 * The store whose scores a method starts from; the number of records alone decides whether it is the primal one.
 * @throws RecordsTooManyError where the method solves for no such number.
 */
export function storeMethodOf(
  method: InfluenceMethod,
  records: number,
  dualMax = dualRecordsMax,
): StoreMethod {
  const isEfim = method === "hybrid" || method === "efim-dual";
  if (records <= dualMax) return isEfim ? "efim-dual" : method;
  if (isEfim) return "efim-primal";
  if (method === "datainf" || method === "trak") throw new RecordsTooManyError(method, records, dualMax);
  return method;
}

/** What stands beside an influence: the method, or what took its place for so many records. */
export function estimatorOf(method: InfluenceMethod, store: StoreMethod): InfluenceMethod | StoreMethod {
  return method === "hybrid" ? method : store;
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

/** Methods that compare all records with each other have a bound on how many. */
export class RecordsTooManyError extends PipelineError {
  override readonly name = "RecordsTooManyError";
  constructor(method: InfluenceMethod, records: number, recordsMax: number) {
    super(`${method} measures no training of so many records. Max: ${recordsMax}. Given: ${records}.`, {
      code: "store_too_large",
      retryable: false,
    });
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
