import { excerpt } from "#runtime/errors";
import { type Generator, pcg32 } from "#runtime/inference/sampler";
import { AdapterError, type LoraModule } from "./adapter.ts";

/** Which sign wins at each place: that of the sum, or that of most adapters. */
export type Majority = "total" | "frequency";

/**
 * Ways to mix A with A and B with B. `density` is the part of the numbers that is kept, in (0, 1].
 * - `linear`: the weighted sum. Source: PEFT.
 * - `ties`: keep the largest, elect a sign for each place, average those that have it. Source: Yadav et al. 2023.
 * - `dare-linear`, `dare-ties`: keep at random and enlarge what is kept by 1 / density. Source: Yu et al. 2023.
 */
export type FactorMethod =
  | { readonly type: "linear" }
  | { readonly type: "ties"; readonly density: number; readonly majority?: Majority }
  | { readonly type: "dare-linear"; readonly density: number; readonly seed: bigint }
  | {
      readonly type: "dare-ties";
      readonly density: number;
      readonly seed: bigint;
      readonly majority?: Majority;
    };

/** One adapter's part in one module: factor · B · A. */
export interface Term {
  readonly module: LoraModule;
  /** Its weight times its scale. */
  readonly factor: number;
}

const types: readonly string[] = ["linear", "ties", "dare-linear", "dare-ties"];

/** Values one draw of the generator can have. */
const drawCount = 2 ** 32;

/**
 * A function that mixes the terms of one module. What is random follows from the seed and from the order of calls:
 * modules ascending by name, and for each A of every adapter, then B of every adapter, number by number.
 * @throws AdapterError `adapter-merge-invalid` naming the field of the method out of its range, or a module whose
 * ranks differ.
 */
export function mixFactors(method: FactorMethod): (name: string, terms: readonly Term[]) => LoraModule {
  checkMethod(method);
  const generator = "seed" in method ? pcg32(method.seed) : undefined;
  return (name, terms) => {
    const [{ module: first }] = terms as [Term];
    const { rank, inSize, outSize } = first;
    if (terms.some(({ module }) => module.rank !== rank)) {
      throw new AdapterError("adapter-merge-invalid", name, "ranks differ: combine by cat or svd");
    }
    // The root on each side makes the weights right in B·A; the sign must not be on both, where it would vanish.
    const root = ({ factor }: Term) => Math.sqrt(Math.abs(factor));
    const signs = terms.map((term) => root(term) * (term.factor < 0 ? -1 : 1));
    const a = mix(
      method,
      terms.map(({ module }) => module.a),
      signs,
      generator,
    );
    const b = mix(
      method,
      terms.map(({ module }) => module.b),
      terms.map(root),
      generator,
    );
    return { rank, alpha: rank, inSize, outSize, a, b };
  };
}

function mix(
  method: FactorMethod,
  tensors: readonly Float32Array[],
  weights: readonly number[],
  generator: Generator | undefined,
): Float32Array {
  const thinned = tensors.map((tensor) => thin(method, tensor, generator));
  const hasElection = method.type === "ties" || method.type === "dare-ties";
  const majority = hasElection ? (method.majority ?? "total") : undefined;
  return Float32Array.from(tensors[0]!, (_, place) => {
    const values = thinned.map((tensor) => tensor[place]!);
    if (majority === undefined) return sumOf(values, weights);
    const sign = electSign(values, majority);
    const kept = values.map((value, index) =>
      Math.sign(value) === sign ? value * weights[index]! : undefined,
    );
    const agreeing = kept.filter((value) => value !== undefined);
    return agreeing.reduce((sum, value) => sum + value, 0) / Math.max(agreeing.length, 1);
  });
}

function sumOf(values: readonly number[], weights: readonly number[]): number {
  return values.reduce((sum, value, index) => sum + value * weights[index]!, 0);
}

/** 1 where it is a draw. */
function electSign(values: readonly number[], majority: Majority): 1 | -1 {
  const votes = majority === "total" ? values : values.map(Math.sign);
  return votes.reduce((sum, vote) => sum + vote, 0) >= 0 ? 1 : -1;
}

function thin(method: FactorMethod, tensor: Float32Array, generator: Generator | undefined): Float64Array {
  const values = Float64Array.from(tensor);
  if (method.type === "linear" || method.density === 1) return values;
  if (generator === undefined) return keepLargest(values, Math.floor(method.density * values.length));
  const below = Math.floor(method.density * drawCount);
  return values.map((value) => (generator() < below ? value / method.density : 0));
}

/** What is no method here must not pass for another. */
function checkMethod(method: FactorMethod): void {
  const check = (holds: boolean, key: string, allowed: string, given: unknown) => {
    if (holds) return;
    throw new AdapterError("adapter-merge-invalid", key, `allowed is ${allowed}. Given: ${excerpt(given)}`);
  };
  const { type } = method;
  check(types.includes(type), "type", `cat, svd, ${types.join(", ")}`, type);
  if (type === "linear") return;
  check(method.density > 0 && method.density <= 1, "density", "above 0, up to 1", method.density);
  if (type !== "dare-linear") {
    const { majority = "total" } = method;
    check(["total", "frequency"].includes(majority), "majority", "total or frequency", majority);
  }
  if (type === "ties") return;
  const { seed } = method;
  const isSeed = typeof seed === "bigint" && seed >= 0n && seed < 2n ** 64n;
  check(isSeed, "seed", "an unsigned 64-bit integer", seed);
}

/** Zero all but the `count` of greatest magnitude; among equals the first are kept. */
function keepLargest(values: Float64Array, count: number): Float64Array {
  const order = Uint32Array.from(values.keys()).sort(
    (a, b) => Math.abs(values[b]!) - Math.abs(values[a]!) || a - b,
  );
  const kept = new Float64Array(values.length);
  for (const index of order.subarray(0, count)) kept[index] = values[index]!;
  return kept;
}
