import { readdirSync, readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildGraphs } from "#runtime/decoder/inference-graphs";
import { excerpt, ModelRuntimeError } from "#runtime/errors";
import { decodeConfig } from "#runtime/families/config";
import { copyFixture, fixture, shard, temporaryFolder, withHeader } from "#runtime/fixtures/folders";
import { createPool } from "#runtime/inference/pool";
import { countMarks } from "./json-file.ts";
import { findRepeatedKey } from "./json-keys.ts";
import { ModelConfigError } from "./model-config.ts";
import { readModelFolder } from "./model-folder.ts";
import { decodeHeader, headerBytesMax, read, WeightFileError } from "./safetensors.ts";
import { decodeShardIndex } from "./shard-index.ts";

const entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';

/** Any JSON, with the words of these formats among its keys and values. */
const word = fc.constantFrom(
  "weight_map",
  "dtype",
  "shape",
  "data_offsets",
  "F32",
  "__proto__",
  "__metadata__",
  "a",
);
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom(null, true, -1, 0, 1, 4, 2 ** 53, 1e308),
    fc.oneof(word, fc.string({ maxLength: 8 })),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(word, fc.string({ maxLength: 4 })), tie("value"), { maxKeys: 5 }),
  ),
})).value;

async function readBytes(bytes: Uint8Array): Promise<unknown> {
  const path = join(await temporaryFolder(), "model.safetensors");
  await writeFile(path, bytes);
  return read(path).catch((error: unknown) => error);
}

describe("a header", () => {
  it.each([
    [`{"a":${entry},"a":${entry}}`, "a"],
    [`{"a":${entry},"\\u0061" :${entry}}`, "a"],
    ['{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"dtype":"F16"}}', "dtype"],
    [`{"a":[{"b":1},{"b":1}],"__metadata__":{"c":"d","c":"e"}}`, "c"],
  ])("that repeats a key is refused, naming the key: %s", async (text, key) => {
    expect(findRepeatedKey(text)).toBe(key);
    const error = await readBytes(withHeader(text, [new Uint8Array(4)]));
    expect(error).toBeInstanceOf(WeightFileError);
    expect((error as Error).message).toContain(`names "${key}" twice`);
  });

  it("may say the same word as key of different objects, as value, and inside strings", () => {
    expect(findRepeatedKey('{"a":{"a":"a"},"b":["a","a"],"c":"{\\"a\\":1,\\"a\\":2}"}')).toBeNull();
  });

  it("never repeats a key when JSON.stringify wrote it", () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(findRepeatedKey(JSON.stringify(value))).toBeNull();
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it("may not be so deep or so broad that a message about it would not end", async () => {
    const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
    for (const text of [
      `{"a":{"dtype":${deep},"shape":[1],"data_offsets":[0,4]}}`,
      `{"a":{"dtype":"F32","shape":[${"1,".repeat(500_000)}1],"data_offsets":[0,4]}}`,
      `{"${"n".repeat(1e6)}":4}`,
      deep,
    ]) {
      const error = await readBytes(withHeader(text, [new Uint8Array(4)]));
      expect(error).toBeInstanceOf(WeightFileError);
      expect((error as Error).message.length).toBeLessThan(500);
    }
  });

  it("of the largest size costs no more memory than its limit allows", async () => {
    const text = `[${"{},".repeat(headerBytesMax / 3 - 1)}0]`;
    const before = process.memoryUsage().rss;
    expect(await readBytes(withHeader(text))).toBeInstanceOf(WeightFileError);
    expect(process.memoryUsage().rss - before).toBeLessThan(1.5 * 2 ** 30);
  });
});

describe("fuzzing", () => {
  it("decodes or refuses any JSON as header and as index, and never throws", () => {
    fc.assert(
      fc.property(json, fc.nat(64), (value, dataBytes) => {
        const header = new TextEncoder().encode(JSON.stringify(value));
        expect(typeof decodeHeader(header, 8 + header.length + dataBytes).ok).toBe("boolean");
        expect(typeof decodeShardIndex(value).ok).toBe("boolean");
        expect(typeof decodeShardIndex({ weight_map: value }).ok).toBe("boolean");
      }),
      { seed: 2, numRuns: 3000 },
    );
  });

  it("decodes a config with any one value changed, or refuses it naming a key", () => {
    const good = JSON.parse(readFileSync(join(fixture("grouped"), "config.json"), "utf8"));
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(good)), json, (key, value) => {
        try {
          decodeConfig({ ...good, [key]: value });
        } catch (error) {
          expect(error).toBeInstanceOf(ModelConfigError);
        }
      }),
      { seed: 3, numRuns: 2000 },
    );
  });

  it("opens a folder with damaged bytes, or refuses it with a typed error", async () => {
    const folder = await copyFixture("tied");
    await shard(folder, 2);
    const names = readdirSync(folder);
    const good = new Map(names.map((name) => [name, readFileSync(join(folder, name))]));
    /** Where bytes have a meaning: JSON files, and the headers of weight files. */
    const reach = (name: string) =>
      Math.min(good.get(name)?.length ?? 0, name.endsWith("s") ? 1200 : Infinity);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.nat(),
        fc.nat(255),
        fc.nat(40),
        async (name, at, byte, cut) => {
          const damaged = Uint8Array.from(good.get(name) ?? []);
          damaged.fill(byte, at % reach(name), (at % reach(name)) + 1);
          await writeFile(join(folder, name), cut === 0 ? damaged.subarray(0, at % damaged.length) : damaged);
          const outcome = await readModelFolder(folder).catch((error: unknown) => error);
          if (outcome instanceof Error) expect(outcome).toBeInstanceOf(ModelRuntimeError);
          await writeFile(join(folder, name), good.get(name) ?? "");
        },
      ),
      { seed: 4, numRuns: 150 },
    );
    expect((await readModelFolder(folder)).tensors.size).toBeGreaterThan(1);
  });
});

describe("opening what cannot be used", () => {
  it("gives back threads and memory every time", async () => {
    const folder = await copyFixture("tied");
    const path = join(folder, "model.safetensors");
    const found = await readModelFolder(folder);
    const spec = { folder: found.path, config: found.config, graphs: buildGraphs(found) };
    // The file shrinks after its header was read: ONNX Runtime itself refuses it, in the worker.
    await writeFile(path, (await readFile(path)).subarray(0, 2000));
    const attempt = async () => {
      const opening = createPool(spec, { threads: 2, queueMax: 4 });
      await expect(opening).rejects.toMatchObject({ code: "session-failed", retryable: false });
    };
    await attempt();
    const before = resources();
    for (let round = 0; round < 4; round++) await attempt();
    const after = resources();
    expect(after.threads).toBeLessThanOrEqual(before.threads + 1);
    expect(after.bytes - before.bytes).toBeLessThan(100 * 2 ** 20);
  });

  function resources() {
    const threads = process.platform === "linux" ? readdirSync("/proc/self/task").length : 0;
    return { threads, bytes: process.memoryUsage().rss };
  }
});

describe("messages", () => {
  it("quote values of any kind briefly", () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true }), (value) => {
        expect(excerpt(value).length).toBeLessThan(600);
      }),
      { seed: 5, numRuns: 300 },
    );
    expect(excerpt(2n ** 64n)).toBe("18446744073709551616");
    expect(excerpt("a".repeat(81))).toBe(`"${"a".repeat(80)}"…`);
    expect(excerpt([1])).toBe("a list");
  });

  it("count the marks that JSON costs memory by", () => {
    expect(countMarks(new TextEncoder().encode('{"a":[1,2,{}],"b":3}'))).toBe(8);
  });
});
