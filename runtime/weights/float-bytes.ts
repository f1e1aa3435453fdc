/** Float types of safetensors that can be read as numbers. */
export type FloatType = "F64" | "F32" | "F16" | "BF16";

/** Whether a safetensors dtype is one of them. */
export function isFloatType(dtype: string): dtype is FloatType {
  return dtype === "F64" || dtype === "F32" || dtype === "F16" || dtype === "BF16";
}

/** Little-endian bytes to float32: widened exactly from F16 and BF16, F64 rounded to nearest. Pure. */
export function decodeFloats(dtype: FloatType, bytes: Uint8Array): Float32Array {
  const { buffer } = new Uint8Array(bytes); // Copied: typed arrays need aligned bytes, and a Buffer is part of a pool.
  if (dtype === "F32") return new Float32Array(buffer);
  if (dtype === "F64") return Float32Array.from(new Float64Array(buffer));
  if (dtype === "F16") return Float32Array.from(new Float16Array(buffer));
  const words = Uint32Array.from(new Uint16Array(buffer), (half) => half << 16);
  return new Float32Array(words.buffer);
}

/** Numbers to little-endian bytes, rounded to nearest, ties to even; BF16 by way of float32. Pure. */
export function encodeFloats(dtype: FloatType, values: Float32Array | Float64Array): Uint8Array {
  const made = {
    F64: () => Float64Array.from(values),
    F32: () => Float32Array.from(values),
    F16: () => Float16Array.from(values),
    BF16: () => brainFloats(Float32Array.from(values)),
  }[dtype]();
  return new Uint8Array(made.buffer);
}

/** Upper halves of float32, rounded. A NaN stays one: rounding its bits could make it infinite. */
function brainFloats(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(words, (word, index) =>
    Number.isNaN(values[index]) ? 0x7fc0 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16,
  );
}
