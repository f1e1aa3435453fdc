import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { blockSizes, decodeQuantisation, dequantise, errorMax, quantise } from "./quantisation.ts";

const scheme = fc.record({
  bits: fc.constantFrom(4 as const, 8 as const),
  blockSize: fc.constantFrom(16, 32),
});
const finite = fc.float({
  noNaN: true,
  noDefaultInfinity: true,
  min: Math.fround(-1e30),
  max: Math.fround(1e30),
});

describe("quantised blocks", () => {
  it("differ from their weights by no more than the documented part of the block's largest", () => {
    fc.assert(
      fc.property(scheme, fc.array(finite, { minLength: 32, maxLength: 32 }), (quantisation, given) => {
        const values = Float32Array.from(given);
        const { codes, scales } = quantise(values, quantisation)!;
        const meant = dequantise(codes, scales, quantisation);
        values.forEach((value, index) => {
          const start = index - (index % quantisation.blockSize);
          const block = values.subarray(start, start + quantisation.blockSize);
          const largest = Math.max(...block.map(Math.abs));
          // Below the smallest normal number, float32 scales have fewer digits.
          const allowed = errorMax(quantisation) * largest + 2 ** -126;
          expect(Math.abs(value - (meant[index] ?? Number.NaN))).toBeLessThanOrEqual(allowed);
        });
      }),
      { seed: 6, numRuns: 400 },
    );
  });

  it("quantise what they mean to themselves", () => {
    fc.assert(
      fc.property(scheme, fc.array(finite, { minLength: 64, maxLength: 64 }), (quantisation, given) => {
        const values = Float32Array.from(given, (value) => value / 1e20 + 1);
        const once = quantise(values, quantisation)!;
        const again = quantise(dequantise(once.codes, once.scales, quantisation), quantisation)!;
        expect(again.codes).toEqual(once.codes);
      }),
      { seed: 7, numRuns: 200 },
    );
  });

  it("put the earlier of two 4-bit codes into the low half of a byte", () => {
    const values = Float32Array.from({ length: 16 }, (_, index) => [7, -7, 0, 3][index] ?? 0);
    const { codes, scales } = quantise(values, { bits: 4, blockSize: 16 })!;
    expect([...codes.subarray(0, 3)]).toEqual([0x1f, 0xb8, 0x88]);
    expect([...scales]).toEqual([1]);
  });

  it("are zeros for zeros, and refuse what is no finite number", () => {
    const zeros = quantise(new Float32Array(32), { bits: 4, blockSize: 32 })!;
    expect(dequantise(zeros.codes, zeros.scales, { bits: 4, blockSize: 32 })).toEqual(new Float32Array(32));
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(quantise(new Float32Array(32).fill(value, 9, 10), { bits: 8, blockSize: 32 })).toBeNull();
    }
  });
});

describe("a quantization_config", () => {
  it("may be absent", () => {
    for (const config of [{}, { quantization_config: null }, 3])
      expect(decodeQuantisation(config)).toBeNull();
  });

  it.each([
    [{ quant_method: "gptq", bits: 4 }, "quant_method"],
    [{}, "quant_method"],
    [{ quant_method: "tributary-blocks", bits: 3, block_size: 32 }, "bits"],
    [{ quant_method: "tributary-blocks", bits: 4, block_size: 24 }, "block_size"],
  ])("is refused as %j, naming the key", (config, key) => {
    expect(() => decodeQuantisation({ quantization_config: config })).toThrow(`quantization_config.${key}`);
  });

  it("names bits and block", () => {
    for (const blockSize of blockSizes) {
      const config = { quant_method: "tributary-blocks", bits: 8, block_size: blockSize };
      expect(decodeQuantisation({ quantization_config: config })).toEqual({ bits: 8, blockSize });
    }
  });
});
