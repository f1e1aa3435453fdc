import { excerpt, invariant } from "#runtime/errors";
import { ModelFolderError } from "./json-file.ts";

/** How matrices are stored: `bits` a weight, one float32 scale for each `blockSize` weights of a row. */
export interface Quantisation {
  readonly bits: 4 | 8;
  readonly blockSize: number;
}

/** `quantization_config.quant_method` of folders that `quantiseFolder` writes. */
export const quantisationMethod = "tributary-blocks";

/** Block sizes that both kernels (MatMulNBits and DequantizeLinear) take. */
export const blockSizes: readonly number[] = [16, 32, 64, 128, 256];

/** Largest code above that of zero: 7 or 127. */
const codeMax = ({ bits }: Quantisation) => 2 ** (bits - 1) - 1;

/** The code of zero: 8 or 128. */
const codeOfZero = ({ bits }: Quantisation) => 2 ** (bits - 1);

/**
 * Largest |w − ŵ| as a part of the largest |w| of the block: half a step, which is 1/14 for 4 bits and 1/254
 * for 8, and 1e-6 for the rounding of the scale to float32.
 */
export function errorMax(quantisation: Quantisation): number {
  return 0.5 / codeMax(quantisation) + 1e-6;
}

/**
 * Quantise rows of `values` whose length is whole blocks: scale = largest |w| of the block / codeMax,
 * code = w / scale rounded to nearest (ties to even) + code of zero. A block of zeros has scale 0. Pure.
 * Codes lie as `QuantisedMatrix` says. Returns null if a value is no finite number.
 */
export function quantise(
  values: Float32Array,
  quantisation: Quantisation,
): { codes: Uint8Array; scales: Float32Array } | null {
  const { bits, blockSize } = quantisation;
  invariant(values.length % blockSize === 0, "rows are whole blocks");
  const scales = new Float32Array(values.length / blockSize);
  const codes = new Uint8Array((values.length * bits) / 8);
  for (let block = 0; block < scales.length; block++) {
    const own = values.subarray(block * blockSize, (block + 1) * blockSize);
    const largest = largestOf(own);
    if (!Number.isFinite(largest)) return null;
    const scale = Math.fround(largest / codeMax(quantisation));
    scales[block] = scale;
    own.forEach((value, index) => {
      const at = block * blockSize + index;
      const code = codeOf(value, scale, quantisation);
      if (bits === 8) codes[at] = code;
      else codes[at >> 1] = (codes[at >> 1] ?? 0) | (at % 2 === 0 ? code : code << 4);
    });
  }
  return { codes, scales };
}

/** What the stored codes and scales mean, in float32. Pure. */
export function dequantise(
  codes: Uint8Array,
  scales: Float32Array,
  quantisation: Quantisation,
): Float32Array {
  const { bits, blockSize } = quantisation;
  const values = new Float32Array((codes.length * 8) / bits);
  for (let at = 0; at < values.length; at++) {
    const byte = codes[bits === 8 ? at : at >> 1] ?? 0;
    const code = bits === 8 ? byte : at % 2 === 0 ? byte & 15 : byte >> 4;
    values[at] = (code - codeOfZero(quantisation)) * (scales[Math.floor(at / blockSize)] ?? 0);
  }
  return values;
}

/** The byte that codes of zero fill: 0x88 holds two. */
export function zeroByte({ bits }: Quantisation): number {
  return bits === 4 ? 0x88 : 0x80;
}

/**
 * How a folder is quantised by its config.json, or null.
 * @throws ModelFolderError for a method of others: their tensors mean something else.
 */
export function decodeQuantisation(config: unknown): Quantisation | null {
  const given = isRecord(config) ? (config.quantization_config ?? null) : null;
  if (given === null) return null;
  const { quant_method: method, bits, block_size: blockSize } = isRecord(given) ? given : {};
  if (method !== quantisationMethod) {
    refuse(
      "quant_method",
      `${excerpt(method)} is not supported; open the unquantised model, or quantise that here`,
    );
  }
  if (bits !== 4 && bits !== 8) refuse("bits", `must be 4 or 8. Given: ${excerpt(bits)}`);
  if (typeof blockSize !== "number" || !blockSizes.includes(blockSize)) {
    refuse("block_size", `must be one of ${blockSizes.join(", ")}. Given: ${excerpt(blockSize)}`);
  }
  return { bits, blockSize };
}

function codeOf(value: number, scale: number, quantisation: Quantisation): number {
  const zero = codeOfZero(quantisation);
  if (scale === 0) return zero;
  const max = codeMax(quantisation);
  return zero + Math.min(max, Math.max(-max, roundToEven(value / scale)));
}

function roundToEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  if (rest === 0.5) return down % 2 === 0 ? down : down + 1;
  return rest < 0.5 ? down : down + 1;
}

function largestOf(values: Float32Array): number {
  let largest = 0;
  for (const value of values) {
    const size = Math.abs(value);
    if (!(size <= largest)) largest = size; // Also true of NaN, which then stays.
    if (Number.isNaN(largest)) return largest;
  }
  return largest;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(key: string, reason: string): never {
  throw new ModelFolderError(
    "model-config-unsupported",
    `config.json: quantization_config.${key}: ${reason}.`,
  );
}
