import { Kernel } from "./kernel.ts";

let kernel: Kernel | null = null;

/** The kernel that this thread's transforms and roots share, made when first asked for. What is taken from its memory and kept must be taken while nothing else is. */
export function threadKernel(): Kernel {
  kernel ??= new Kernel();
  return kernel;
}
