import { totalmem } from "node:os";
import { ModelRuntimeError } from "./errors.ts";

/** Memory that this process may use, in bytes. */
export function memoryBytes(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}

/** What was asked takes more memory at once than the option `option` allows. */
export class MemoryLimitError extends ModelRuntimeError {
  constructor(what: string, option: string, bytesMax: number, bytes: number, remedy: string) {
    super(
      "memory-exceeded",
      `${what} needs too much memory. ${option}: ${bytesMax} bytes. Given: ${bytes} bytes. ${remedy}`,
    );
  }
}
