import type { WeightEntry } from "./model-folder.ts";
import type { Quantisation } from "./quantisation.ts";
import { WeightFileError } from "./safetensors.ts";

/** Where the parts of one quantised matrix lie. Its meaning is in `QuantisedMatrix` (`onnx/quantised.ts`). */
export interface StoredMatrix extends Quantisation {
  readonly outSize: number;
  readonly inSize: number;
  readonly codes: WeightEntry;
  readonly scales: WeightEntry;
  readonly zeros: WeightEntry;
}

/** Name of the tensor whose first bytes are the codes of zero of any matrix of the file. */
export const zerosName = "quantisation.zeros";

/** Names of the parts of the matrix `name`. */
export const partsOf = (name: string) => ({ codes: `${name}.codes`, scales: `${name}.scales` });

/**
 * Part the tensors of a quantised folder into those stored as numbers and the matrices stored in blocks,
 * by the name each would have unquantised. Pure.
 * @throws WeightFileError naming a part that is missing or has another shape or dtype than its blocks need.
 */
export function separateQuantised(
  tensors: ReadonlyMap<string, WeightEntry>,
  quantisation: Quantisation,
): { plain: Map<string, WeightEntry>; quantised: Map<string, StoredMatrix> } {
  const plain = new Map(tensors);
  const quantised = new Map<string, StoredMatrix>();
  const zeros = tensors.get(zerosName);
  plain.delete(zerosName);
  for (const entry of tensors.values()) {
    if (!entry.name.endsWith(".codes")) continue;
    const name = entry.name.slice(0, -".codes".length);
    const parts = partsOf(name);
    const scales = tensors.get(parts.scales);
    if (!scales) throw new WeightFileError(entry.file, `${parts.scales} is missing`, entry.name);
    if (!zeros) throw new WeightFileError(entry.file, `${zerosName} is missing`, entry.name);
    quantised.set(name, readMatrix(quantisation, entry, scales, zeros));
    plain.delete(parts.codes);
    plain.delete(parts.scales);
  }
  return { plain, quantised };
}

function readMatrix(
  { bits, blockSize }: Quantisation,
  codes: WeightEntry,
  scales: WeightEntry,
  zeros: WeightEntry,
): StoredMatrix {
  const [outSize = 0, blocks = 0, blockBytes] = codes.shape;
  const isCodes = codes.dtype === "U8" && codes.shape.length === 3 && outSize > 0 && blocks > 0;
  if (!isCodes || blockBytes !== (blockSize * bits) / 8) {
    const reason = `${codes.dtype} [${codes.shape}] are no codes of ${bits} bits in blocks of ${blockSize}`;
    throw new WeightFileError(codes.file, reason, codes.name);
  }
  if (scales.dtype !== "F32" || scales.shape.join() !== [outSize, blocks].join()) {
    const reason = `${scales.dtype} [${scales.shape}] is not F32 [${outSize},${blocks}]`;
    throw new WeightFileError(scales.file, reason, scales.name);
  }
  const zeroBytes = Math.ceil((outSize * blocks * bits) / 8);
  if (zeros.dtype !== "U8" || zeros.bytes < zeroBytes) {
    throw new WeightFileError(zeros.file, `fewer than the ${zeroBytes} bytes of ${codes.name}`, zeros.name);
  }
  return {
    bits,
    blockSize,
    outSize,
    inSize: blocks * blockSize,
    codes,
    scales,
    zeros: { ...zeros, bytes: zeroBytes },
  };
}
