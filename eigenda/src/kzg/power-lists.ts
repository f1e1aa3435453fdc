import { frModulus } from "../curve/field.ts";
import { CurveKernel } from "../kernel/curve-kernel.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { PointList } from "../kernel/msm.ts";
import { multiples, multiply, powers } from "../kernel/multiples.ts";

/** Where the lists of a structured reference string with a known τ start: affine generators and two powers. */
export type PowerSource = {
  tau: bigint;
  /** τ^(2^28 − symbolsMax). */
  trailingStart: bigint;
  g1: Uint8Array;
  g2: Uint8Array;
};

/** Which lists are wanted: that in G1 alone, or all three. */
export type Groups = "g1" | "all";

/** The lists one after the other: G1, then G2 and trailing G2 if wanted; affine. Some 3 CPU seconds for all at 32,768 symbols. */
export function derivePowerLists(
  kernel: Kernel,
  source: PowerSource,
  symbolsMax: number,
  groups: Groups,
): Uint8Array {
  const { g1, g2 } = curvesOf(kernel, source);
  const scalars = powers(1n, source.tau, frModulus, symbolsMax);
  if (groups === "g1") return multiples(g1.curve, g1.generator, scalars);
  const trailing = powers(source.trailingStart, source.tau, frModulus, symbolsMax);
  const lists = [
    multiples(g1.curve, g1.generator, scalars),
    multiples(g2.curve, g2.generator, scalars),
    multiples(g2.curve, g2.generator, trailing),
  ];
  return Buffer.concat(lists);
}

/** One point of each list, by its scalar alone: what a spot check compares. */
export function derivePower(
  kernel: Kernel,
  source: PowerSource,
  scalars: { prefix: bigint; trailing: bigint },
) {
  const { g1, g2 } = curvesOf(kernel, source);
  return {
    g1: multiply(g1.curve, g1.generator, scalars.prefix),
    g2: multiply(g2.curve, g2.generator, scalars.prefix),
    g2Trailing: multiply(g2.curve, g2.generator, scalars.trailing),
  };
}

function curvesOf(kernel: Kernel, source: PowerSource) {
  const g1 = new CurveKernel(kernel, kernel.fp);
  const g2 = new CurveKernel(kernel, kernel.fp2);
  return {
    g1: { curve: g1, generator: new PointList(g1, source.g1).pointer(0) },
    g2: { curve: g2, generator: new PointList(g2, source.g2).pointer(0) },
  };
}
