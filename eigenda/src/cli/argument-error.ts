import { EigenDaError } from "../errors.ts";

/** Parameters that no run could take: the command line ends with 2 instead of 1. */
export class ArgumentError extends EigenDaError {
  constructor(message: string) {
    super("invalid", message);
    this.name = "ArgumentError";
  }
}
