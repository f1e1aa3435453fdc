import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeSafetensors, fixture, temporaryFolder, withHeader } from "#runtime/fixtures/folders";
import { decodeHeader, decodeHeaderLength, headerBytesMax, read, WeightFileError } from "./safetensors.ts";

const good = encodeSafetensors(
  new Map([
    ["a", { shape: [2, 3], values: Float32Array.of(1, 2, 3, 4, 5, 6) }],
    ["b", { shape: [4], values: Float32Array.of(7, 8, 9, 10) }],
  ]),
);

async function readBytes(bytes: Uint8Array): Promise<unknown> {
  const path = join(await temporaryFolder(), "model.safetensors");
  await writeFile(path, bytes);
  return read(path).catch((error: unknown) => error);
}

/** Decode a header of one or two tensors over 40 bytes of data, as the good file has. */
function refuse(header: Record<string, unknown>) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  return decodeHeader(text, 8 + text.length + 40);
}

const a = { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] };
const b = { dtype: "F32", shape: [4], data_offsets: [24, 40] };

describe("safetensors", () => {
  it("finds each tensor's bytes in the file", async () => {
    const tensors = (await readBytes(good)) as Awaited<ReturnType<typeof read>>;
    const entry = tensors.get("b");
    expect(entry).toMatchObject({ dtype: "F32", shape: [4], bytes: 16 });
    expect(new Float32Array(good.slice(entry?.offset, (entry?.offset ?? 0) + 16).buffer)).toEqual(
      Float32Array.of(7, 8, 9, 10),
    );
  });

  it("reads a file written by the reference implementation", async () => {
    const tensors = await read(join(fixture("tied"), "model.safetensors"));
    expect(tensors.get("model.embed_tokens.weight")?.shape).toEqual([300, 24]);
  });

  it("refuses a file cut at any byte", async () => {
    for (let length = 0; length < good.length; length += 7) {
      expect(await readBytes(good.slice(0, length)), `cut at ${length}`).toBeInstanceOf(WeightFileError);
    }
    const error = await readBytes(good.slice(0, -1));
    expect(error).toMatchObject({ code: "weight-file-invalid", retryable: false, tensor: "b" });
  });

  it("refuses garbage and bytes after the last tensor", async () => {
    expect(await readBytes(new Uint8Array(64).fill(0xa5))).toBeInstanceOf(WeightFileError);
    expect(await readBytes(withHeader("{not json"))).toBeInstanceOf(WeightFileError);
    expect(await readBytes(withHeader("[]"))).toBeInstanceOf(WeightFileError);
    expect(await readBytes(withHeader("{}"))).toBeInstanceOf(WeightFileError);
    expect(await readBytes(new Uint8Array([...good, 0]))).toBeInstanceOf(WeightFileError);
  });

  it("refuses a header length above the limit before reading it", () => {
    const prefix = new Uint8Array(8);
    new DataView(prefix.buffer).setBigUint64(0, BigInt(headerBytesMax) + 1n, true);
    expect(decodeHeaderLength(prefix, 2 ** 40)).toMatch(/header is too large/);
    prefix.fill(0xff);
    expect(decodeHeaderLength(prefix, 2 ** 40)).toMatch(/header is too large/);
  });

  it("accepts the good header, so that the refusals below are about one change each", () => {
    expect(refuse({ __metadata__: { format: "pt" }, a, b }).ok).toBe(true);
  });

  it.each([
    ["overlaps", { a, b: { ...b, data_offsets: [20, 36] } }, /overlaps/],
    ["leaves a gap", { a: { ...a, shape: [2, 2], data_offsets: [0, 16] }, b }, /gap/],
    ["ends outside the file", { a, b: { ...b, shape: [5], data_offsets: [24, 44] } }, /data ends at byte/],
    ["spans other than its shape needs", { a, b: { ...b, shape: [3] } }, /needs 12 bytes/],
    ["has a dtype nobody knows", { a, b: { ...b, dtype: "F33" } }, /unknown dtype/],
    ["has a dtype from the prototype", { a, b: { ...b, dtype: "constructor" } }, /unknown dtype/],
    ["has a negative size", { a, b: { ...b, shape: [-4] } }, /shape is not a list/],
    ["has a size beyond exact integers", { a, b: { ...b, shape: [2 ** 50, 2 ** 50] } }, /overflows/],
    ["runs backwards", { a, b: { ...b, data_offsets: [40, 24] } }, /needs 16 bytes/],
    ["is not an object", { a, b: 4 }, /not an object/],
  ])("names the tensor that %s", (_, header, reason) => {
    const decoded = refuse(header);
    expect(decoded).toMatchObject({ ok: false, reason: expect.stringMatching(reason), tensor: "b" });
  });

  it("never throws on a damaged header", () => {
    const header = good.slice(8, -40);
    fc.assert(
      fc.property(fc.nat(header.length - 1), fc.nat(255), (index, byte) => {
        const damaged = header.slice();
        damaged[index] = byte;
        expect(typeof decodeHeader(damaged, good.length).ok).toBe("boolean");
      }),
      { seed: 5, numRuns: 2000 },
    );
  });
});
