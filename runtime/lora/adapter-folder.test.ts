import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeSafetensors, type StoredTensor, temporaryFolder } from "#runtime/fixtures/folders";
import { scaleOf } from "./adapter.ts";
import { adapterFileNames, readAdapter, writeAdapter } from "./adapter-folder.ts";
import { makeWrittenAdapters } from "./fixtures/written-adapters.ts";

const fixtures = join(import.meta.dirname, "fixtures");
const names = ["plain", "other", "wide", "patterns", "conv1d"];
const golden: { scales: Record<string, Record<string, number>> } = JSON.parse(
  await readFile(join(fixtures, "golden.json"), "utf8"),
);
const [configName, weightsName] = adapterFileNames;

/** A copy of the plain fixture, its configuration changed and, where given, its tensors replaced. */
async function changed(
  config: Record<string, unknown>,
  tensors?: ReadonlyMap<string, StoredTensor>,
): Promise<string> {
  const folder = join(await temporaryFolder(), "adapter");
  await cp(join(fixtures, "plain"), folder, { recursive: true });
  const json = JSON.parse(await readFile(join(folder, configName), "utf8"));
  await writeFile(join(folder, configName), JSON.stringify({ ...json, ...config }));
  if (tensors) await writeFile(join(folder, weightsName), encodeSafetensors(tensors));
  return folder;
}

const matrix = (rows: number, columns: number, value = 1): StoredTensor => ({
  shape: [rows, columns],
  values: new Float32Array(rows * columns).fill(value),
});
const name = (module: string, side: string) => `base_model.model.${module}.lora_${side}.weight`;
const pair = (module: string): [string, StoredTensor][] => [
  [name(module, "A"), matrix(4, 24)],
  [name(module, "B"), matrix(24, 4)],
];

describe("an adapter folder of PEFT", () => {
  it.each(Object.keys(golden.scales))("gives %s with PEFT's scale for every module", async (fixture) => {
    const adapter = await readAdapter(join(fixtures, fixture));
    const scales = [...adapter.modules].map(([module, factors]) => [module, scaleOf(adapter, factors)]);
    expect(Object.fromEntries(scales)).toEqual(golden.scales[fixture]);
  });

  it.each(names)(
    "is written as PEFT wrote %s: the same bytes of weights, the same meaning",
    async (fixture) => {
      const adapter = await readAdapter(join(fixtures, fixture));
      const folder = join(await temporaryFolder(), "written");
      await writeAdapter(folder, adapter);
      expect(await readFile(join(folder, weightsName))).toEqual(
        await readFile(join(fixtures, fixture, weightsName)),
      );
      expect(await readAdapter(folder)).toEqual(adapter);
      const read = async (path: string) => JSON.parse(await readFile(join(path, configName), "utf8"));
      const { rank_pattern, alpha_pattern, ...written } = await read(folder);
      const published = await read(join(fixtures, fixture));
      for (const [key, value] of Object.entries(written)) expect(published[key], key).toEqual(value);
    },
  );

  it("is, where ours, the folder that PEFT read for the golden scales and logits", async () => {
    const written = await makeWrittenAdapters();
    for (const [fixture, adapter] of Object.entries(written)) {
      const folder = join(await temporaryFolder(), "written");
      await writeAdapter(folder, adapter);
      const weights = (path: string) => readFile(join(path, weightsName));
      expect(await weights(folder)).toEqual(await weights(join(fixtures, fixture)));
      // Only white space may differ: the repository formats its JSON.
      const config = async (path: string) =>
        JSON.stringify(JSON.parse(await readFile(join(path, configName), "utf8")));
      expect(await config(folder)).toBe(await config(join(fixtures, fixture)));
      expect(await readAdapter(folder)).toEqual(adapter);
      expect(new Set([...adapter.modules.values()].map(({ rank }) => rank)).size).toBe(5);
    }
  });

  it("may hold its factors in half precision", async () => {
    for (const dtype of ["F16", "BF16"] as const) {
      const half = pair("q_proj").map(([key, tensor]) => [key, { ...tensor, dtype }] as const);
      const adapter = await readAdapter(await changed({}, new Map(half)));
      expect(adapter.modules.get("q_proj")?.a).toEqual(new Float32Array(96).fill(1));
    }
  });

  it("may choose its modules by an expression or by layers: the tensors say which they are", async () => {
    const chosen = [{ target_modules: ".*[qv]_proj" }, { layers_to_transform: [0, 1] }];
    for (const config of chosen) {
      const adapter = await readAdapter(await changed(config));
      expect(adapter.targetModules).toEqual([...adapter.modules.keys()]);
      expect(adapter.modules.size).toBe(4);
    }
  });
});

describe("an adapter folder is refused", () => {
  it.each<[string, unknown]>([
    ["peft_type", "LOHA"],
    ["use_dora", true],
    ["bias", "all"],
    ["lora_bias", true],
    ["modules_to_save", ["lm_head"]],
    ["trainable_token_indices", [1]],
    ["layer_replication", [[0, 2]]],
    ["target_parameters", ["experts.gate_up_proj"]],
    ["alora_invocation_tokens", [1]],
    ["init_lora_weights", "pissa_niter_4"],
    ["init_lora_weights", "loftq"],
    ["use_something_new", true],
    ["r", 0],
    ["r", 1e9],
    ["lora_alpha", null],
    ["rank_pattern", { q_proj: "4" }],
    ["alpha_pattern", { "(.*)+x": 4 }],
    ["target_modules", null],
  ])("where its configuration has %s as %j, naming the key", async (key, value) => {
    const folder = await changed({ [key]: value });
    await expect(readAdapter(folder)).rejects.toMatchObject({
      code: "adapter-config-unsupported",
      key: `adapter_config.json: ${key}`,
      retryable: false,
    });
  });

  it.each<[string, string, [string, StoredTensor][]]>([
    [
      "is of an embedding",
      "base_model.model.embed.lora_embedding_A",
      [["base_model.model.embed.lora_embedding_A", matrix(4, 24)]],
    ],
    [
      "is a DoRA magnitude",
      "base_model.model.q_proj.lora_magnitude_vector",
      [["base_model.model.q_proj.lora_magnitude_vector", matrix(1, 4)]],
    ],
    [
      "is a whole weight",
      "base_model.model.lm_head.weight",
      [["base_model.model.lm_head.weight", matrix(2, 2)]],
    ],
    ["lacks its other half", "q_proj", pair("q_proj").slice(0, 1)],
    [
      "has another rank than its other half",
      "q_proj",
      [
        [name("q_proj", "A"), matrix(4, 24)],
        [name("q_proj", "B"), matrix(24, 3)],
      ],
    ],
    [
      "has another rank than the configuration",
      name("q_proj", "A"),
      [
        [name("q_proj", "A"), matrix(3, 24)],
        [name("q_proj", "B"), matrix(24, 3)],
      ],
    ],
    [
      "is no matrix",
      name("q_proj", "A"),
      [[name("q_proj", "A"), { shape: [4], values: new Float32Array(4) }]],
    ],
  ])("where a tensor %s, naming it", async (_, key, tensors) => {
    const folder = await changed({}, new Map([...pair("v_proj"), ...tensors]));
    await expect(readAdapter(folder)).rejects.toMatchObject({ code: "adapter-tensor-invalid", key });
  });

  it("where a tensor is of a module that is no target, or holds what is no number", async () => {
    const stray = await changed({}, new Map(pair("k_proj")));
    await expect(readAdapter(stray)).rejects.toMatchObject({ code: "adapter-invalid", key: "k_proj" });
    const broken = new Map(pair("q_proj")).set(name("q_proj", "B"), matrix(24, 4, Number.NaN));
    await expect(readAdapter(await changed({}, broken))).rejects.toThrow("a factor is not finite");
  });

  it("where a file is missing, or a link leads out of the folder", async () => {
    await expect(readAdapter("/nonexistent")).rejects.toMatchObject({ code: "model-folder-missing" });
    for (const file of adapterFileNames) {
      const folder = await changed({});
      await rm(join(folder, file));
      await expect(readAdapter(folder)).rejects.toMatchObject({ code: "model-file-missing" });
      await symlink(join(fixtures, "plain", file), join(folder, file));
      await expect(readAdapter(folder)).rejects.toMatchObject({ code: "model-path-escape" });
    }
  });

  it("whatever byte of it is damaged, with a typed error", async () => {
    const original = await readFile(join(fixtures, "plain", weightsName));
    const folder = await changed({});
    await fc.assert(
      fc.asyncProperty(fc.nat(original.length - 1), fc.nat(255), async (index, byte) => {
        const damaged = Uint8Array.from(original);
        damaged[index] = byte;
        await writeFile(join(folder, weightsName), damaged);
        const result = await readAdapter(folder).catch((error: { code?: string }) => error.code ?? "untyped");
        if (typeof result === "string") {
          expect(result).toMatch(/^(adapter|weight)-/);
        } else {
          expect(result.modules.size).toBe(4);
        }
      }),
      { seed: 6, numRuns: 300 },
    );
  });

  it("whatever its configuration is, with a typed error", async () => {
    const folder = await changed({});
    const keys = ["r", "lora_alpha", "target_modules", "rank_pattern", "alpha_pattern", "use_rslora", "bias"];
    const json = fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom(...keys), fc.jsonValue()));
    await fc.assert(
      fc.asyncProperty(json, async (value) => {
        await writeFile(join(folder, configName), JSON.stringify(value));
        await expect(readAdapter(folder)).rejects.toMatchObject({ code: "adapter-config-unsupported" });
      }),
      { seed: 7, numRuns: 300 },
    );
  });
});

describe("writing an adapter", () => {
  it("gives the same adapter back, whatever its ranks and alphas, also where names end alike", async () => {
    const parent = await temporaryFolder();
    const part = fc.constantFrom("q_proj", "x", "layers", "0", "1");
    const names = fc.array(part, { maxLength: 3 }).map((parts) => [...parts, "q_proj"].join("."));
    const module = fc.record({
      rank: fc.integer({ min: 1, max: 3 }),
      alpha: fc.integer({ min: 1, max: 9 }),
      size: fc.integer({ min: 1, max: 4 }),
    });
    let count = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(names, module, { minKeys: 1, maxKeys: 6 }),
        module,
        fc.boolean(),
        async (made, { rank, alpha }, isRankStabilized) => {
          const modules = new Map(
            Object.entries(made).map(([key, { size, ...rest }]) => {
              const [a, b] = [
                new Float32Array(rest.rank * size).fill(rest.alpha),
                new Float32Array(2 * rest.rank).fill(0.5),
              ];
              return [key, { ...rest, inSize: size, outSize: 2, a, b }] as const;
            }),
          );
          const adapter = {
            baseModel: "base",
            rank,
            alpha,
            isRankStabilized,
            isTransposed: false,
            targetModules: ["q_proj"],
            modules,
          };
          const folder = join(parent, String(count++));
          await writeAdapter(folder, adapter);
          expect(await readAdapter(folder)).toEqual(adapter);
        },
      ),
      { seed: 17, numRuns: 60 },
    );
  });

  it("leaves a folder alone that holds something, and no other trace", async () => {
    const adapter = await readAdapter(join(fixtures, "plain"));
    const parent = await temporaryFolder();
    await mkdir(join(parent, "taken/x"), { recursive: true });
    await expect(writeAdapter(join(parent, "taken"), adapter)).rejects.toMatchObject({
      code: "adapter-exists",
    });
    expect(await readdir(parent)).toEqual(["taken"]);
  });

  it("refuses what it would refuse to read", async () => {
    const adapter = await readAdapter(join(fixtures, "plain"));
    const folder = join(await temporaryFolder(), "x");
    await expect(writeAdapter(folder, { ...adapter, modules: new Map() })).rejects.toMatchObject({
      code: "adapter-invalid",
    });
  });
});
