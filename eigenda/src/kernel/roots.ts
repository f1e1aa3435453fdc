import { fpModulus } from "../curve/field.ts";
import type { Kernel } from "./kernel.ts";
import { threadKernel } from "./thread-kernel.ts";

/** Square roots and inverses in the coordinate field. */
export type Roots = {
  /** Null if there is none. */
  squareRoot(value: bigint): bigint | null;
  /** Of a value that is not zero. */
  inverse(value: bigint): bigint;
};

let roots: Roots | null = null;

/** Those of this thread's kernel. */
export function threadRoots(): Roots {
  roots ??= kernelRoots(threadKernel());
  return roots;
}

/** Square roots and inverses in the coordinate field by the kernel: some 20 µs each, where bigints take 500. */
export function kernelRoots(kernel: Kernel): Roots {
  const { fp } = kernel;
  const [base, result] = [kernel.take(fp.bytes), kernel.take(fp.bytes)];
  const power = (value: bigint, bits: readonly boolean[]) => {
    kernel.write(fp, base, value);
    kernel.write(fp, result, 1n);
    for (const bit of bits) {
      fp.square(result, result);
      if (bit) fp.mul(result, result, base);
    }
    fp.reduce(result, result);
    return kernel.read(fp, result);
  };
  const rootBits = bitsOf((fpModulus + 1n) / 4n);
  const inverseBits = bitsOf(fpModulus - 2n);
  return {
    squareRoot(value) {
      const root = power(value, rootBits);
      return (root * root) % fpModulus === value ? root : null;
    },
    inverse: (value) => power(value, inverseBits),
  };
}

function bitsOf(exponent: bigint): boolean[] {
  return [...exponent.toString(2)].map((bit) => bit === "1");
}
