import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "#runtime/fixtures/folders";
import { decodeFloats, encodeFloats, type FloatType } from "./float-bytes.ts";
import { read } from "./safetensors.ts";
import { type TensorSource, writeSafetensors } from "./safetensors-writer.ts";

const types: FloatType[] = ["F64", "F32", "F16", "BF16"];

describe("writing safetensors", () => {
  it("gives a file that reads back as it was, wider types first", async () => {
    const path = join(await temporaryFolder(), "x.safetensors");
    const tensor = fc.record({
      dtype: fc.constantFrom(...types),
      shape: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), tensor, { minKeys: 1, maxKeys: 6 }),
        async (made) => {
          const sources = Object.entries(made)
            .filter(([name]) => name !== "__metadata__" && name !== "__proto__")
            .map(([name, { dtype, shape }], index): TensorSource => {
              const count = shape.reduce((product, dim) => product * dim, 1);
              const bytes = encodeFloats(dtype, new Float32Array(count).fill(index + 0.5));
              return { name, dtype, shape, bytes: bytes.length, read: () => bytes };
            });
          fc.pre(sources.length > 0);
          await writeSafetensors(path, sources);
          const [entries, file] = [await read(path), await readFile(path)];
          expect(entries.size).toBe(sources.length);
          for (const [index, { name, dtype, shape }] of sources.entries()) {
            const entry = entries.get(name)!;
            expect([entry.dtype, entry.shape]).toEqual([dtype, shape]);
            const bytes = Uint8Array.from(file.subarray(entry.offset, entry.offset + entry.bytes));
            expect([...decodeFloats(dtype as FloatType, bytes)].every((value) => value === index + 0.5)).toBe(
              true,
            );
            expect(entry.offset % (entry.bytes / shape.reduce((product, dim) => product * dim, 1))).toBe(0);
          }
        },
      ),
      { seed: 15, numRuns: 100 },
    );
  });
});

describe("floats as bytes", () => {
  it("come back as the nearest number of their type", () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: -60_000, max: 60_000 }), (value) => {
        const back = (dtype: FloatType) =>
          decodeFloats(dtype, encodeFloats(dtype, Float32Array.of(value)))[0]!;
        expect([back("F64"), back("F32")]).toEqual([value, value]);
        expect(back("F16")).toBe(Math.f16round(value));
        expect(Math.abs(back("BF16") - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -8 + 2 ** -134);
      }),
      { seed: 16, numRuns: 2000 },
    );
  });

  it("keep what is no number, and infinities, as they are", () => {
    for (const dtype of types) {
      const values = decodeFloats(
        dtype,
        encodeFloats(dtype, Float32Array.of(Number.NaN, Infinity, -Infinity, -0)),
      );
      expect([...values]).toEqual([Number.NaN, Infinity, -Infinity, -0]);
    }
  });

  it("round to even where two are equally near", () => {
    const bits = (value: number) => new Uint16Array(encodeFloats("BF16", Float32Array.of(value)).buffer)[0];
    expect([1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20].map(bits)).toEqual([
      0x3f80, 0x3f82, 0x3f81,
    ]);
  });
});
