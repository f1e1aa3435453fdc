import type { MsmBackend } from "../curve/backend.ts";
import { g1FromAffineBytes, g2FromAffineBytes } from "../curve/points.ts";
import { CurveKernel } from "./curve-kernel.ts";
import { Kernel } from "./kernel.ts";
import { PointList } from "./msm.ts";

/** The kernel's multi-scalar multiplication on this thread, with a memory of its own. */
export function kernelBackend(): MsmBackend {
  const kernel = new Kernel();
  const curves = { g1: new CurveKernel(kernel, kernel.fp), g2: new CurveKernel(kernel, kernel.fp2) };
  return {
    name: "kernel",
    basesG1: (affine) => basesOf(new PointList(curves.g1, affine), g1FromAffineBytes),
    basesG2: (affine) => basesOf(new PointList(curves.g2, affine), g2FromAffineBytes),
  };
}

function basesOf<P>(list: PointList, read: (affine: Uint8Array) => P) {
  return {
    count: list.count,
    msm: (scalars: Uint8Array, offset: number) => read(list.msm(scalars, offset)),
  };
}
