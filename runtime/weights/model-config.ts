import { ModelRuntimeError } from "#runtime/errors";

/** A config.json this library cannot run. `key` is the entry at fault. */
export class ModelConfigError extends ModelRuntimeError {
  readonly key: string;

  constructor(key: string, reason: string) {
    super("model-config-unsupported", `config.json: ${key}: ${reason}.`);
    this.key = key;
  }
}
