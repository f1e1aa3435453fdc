import { readFile, stat } from "node:fs/promises";
import { ModelRuntimeError } from "#runtime/errors";

/** Size limits of one JSON file. Both are checked before anything is parsed. */
export interface JsonLimits {
  /** Longest file read into memory. */
  readonly bytesMax: number;
  /** Most commas, colons and brackets: about the number of values, which is what parsed JSON costs memory by. */
  readonly marksMax: number;
}

/** config.json, tokenizer_config.json and others written by hand or by a short program. */
export const configLimits: JsonLimits = { bytesMax: 8 * 1024 * 1024, marksMax: 500_000 };

/** tokenizer.json. The biggest published one is about 35 MB: 262,144 tokens and 514,906 merges, 4.2 million marks. */
export const tokenizerLimits: JsonLimits = { bytesMax: 64 * 1024 * 1024, marksMax: 16_000_000 };

/** model.safetensors.index.json: one line for each tensor. */
export const indexLimits: JsonLimits = { bytesMax: 16 * 1024 * 1024, marksMax: 1_000_000 };

/**
 * Read and parse a JSON file whose path was already checked.
 * @throws ModelFolderError `model-file-too-large` beyond a limit, `model-file-invalid` if it is not JSON.
 */
export async function readJson(path: string, limits: JsonLimits): Promise<unknown> {
  const { size } = await stat(path);
  if (size > limits.bytesMax) throw tooLarge(path, "bytes", limits.bytesMax, size);
  const bytes = await readFile(path);
  const marks = countMarks(bytes);
  if (marks > limits.marksMax) throw tooLarge(path, "JSON marks", limits.marksMax, marks);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ModelFolderError("model-file-invalid", `${path}: not JSON in UTF-8.`, cause);
  }
}

/** Commas, colons and opening brackets, also those inside strings: an upper bound on the values. Pure. */
export function countMarks(bytes: Uint8Array): number {
  let marks = 0;
  for (const byte of bytes) {
    if (byte === 0x2c || byte === 0x3a || byte === 0x5b || byte === 0x7b) marks++;
  }
  return marks;
}

function tooLarge(path: string, unit: string, max: number, given: number): ModelFolderError {
  return new ModelFolderError(
    "model-file-too-large",
    `${path}: file is too large. Max: ${max} ${unit}. Given: ${given} ${unit}.`,
  );
}

/** A model folder that must not be used; `code` says which rule it breaks. */
export class ModelFolderError extends ModelRuntimeError {
  constructor(code: string, message: string, cause?: unknown) {
    super(code, message, { cause });
  }
}
