import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pcg32 } from "#runtime/inference/sampler";
import { decodeFloats } from "#runtime/weights/float-bytes";
import { read } from "#runtime/weights/safetensors";
import { readTensorBytes } from "#runtime/weights/tensor-bytes";
import { type Adapter, type LoraModule, scaleOf } from "./adapter.ts";
import { readAdapter } from "./adapter-folder.ts";
import { type CombineMethod, combinationError, combine, type WeightedAdapter } from "./combine.ts";

const fixtures = join(import.meta.dirname, "fixtures");
const golden: { seed: number; cases: Record<string, { weights: Record<string, number> }> } = JSON.parse(
  await readFile(join(fixtures, "merged/cases.json"), "utf8"),
);
const seed = BigInt(golden.seed);
const methods: Record<string, CombineMethod> = {
  cat: { type: "cat" },
  linear: { type: "linear" },
  "linear-negative": { type: "linear" },
  "ties-total": { type: "ties", density: 0.5 },
  "ties-frequency": { type: "ties", density: 0.5, majority: "frequency" },
  "dare-linear": { type: "dare-linear", density: 0.6, seed },
  "dare-ties": { type: "dare-ties", density: 0.6, seed },
  svd: { type: "svd" },
  "svd-rank": { type: "svd", rank: 2 },
};

async function partsOf(name: string): Promise<WeightedAdapter[]> {
  const weights = Object.entries(golden.cases[name]?.weights ?? {});
  return Promise.all(
    weights.map(async ([adapter, weight]) => ({
      adapter: await readAdapter(join(fixtures, adapter)),
      weight,
    })),
  );
}

/** A and B of every module that PEFT merged. */
async function mergedByPeft(name: string): Promise<Map<string, { a: Float32Array; b: Float32Array }>> {
  const path = join(fixtures, `merged/${name}.safetensors`);
  const entries = await read(path);
  const file = await open(path, "r");
  try {
    const floats = async (key: string) =>
      decodeFloats("F32", await readTensorBytes(file, path, entries.get(key)!));
    const modules = [...entries.keys()].filter((key) => key.endsWith(".lora_A"));
    const pairs = modules.map(async (key) => {
      const module = key.slice(0, -".lora_A".length);
      return [module, { a: await floats(key), b: await floats(`${module}.lora_B`) }] as const;
    });
    return new Map(await Promise.all(pairs));
  } finally {
    await file.close();
  }
}

/** scale · B · A, [outSize, inSize]. */
function product(b: Float32Array, a: Float32Array, outSize: number, scale = 1): number[] {
  const rank = b.length / outSize;
  const inSize = a.length / rank;
  return Array.from({ length: outSize * inSize }, (_, place) => {
    let sum = 0;
    for (let inner = 0; inner < rank; inner++) {
      sum += b[Math.floor(place / inSize) * rank + inner]! * a[inner * inSize + (place % inSize)]!;
    }
    return scale * sum;
  });
}

function expectClose(given: ArrayLike<number>, wanted: ArrayLike<number>, tolerance: number, what: string) {
  expect(given.length, what).toBe(wanted.length);
  let [difference, size] = [0, 0];
  for (let index = 0; index < wanted.length; index++) {
    difference += (given[index]! - wanted[index]!) ** 2;
    size += wanted[index]! ** 2;
  }
  expect(Math.sqrt(difference / size), what).toBeLessThan(tolerance);
}

describe("combining adapters", () => {
  it.each(["linear", "linear-negative", "ties-total", "ties-frequency", "dare-linear", "dare-ties"])(
    "by %s gives the factors that PEFT gives",
    async (name) => {
      const made = combine(await partsOf(name), methods[name]!);
      const expected = await mergedByPeft(name);
      expect([...made.modules.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
      for (const [module, { a, b }] of expected) {
        expectClose(made.modules.get(module)!.a, a, 1e-6, `${name} ${module} A`);
        expectClose(made.modules.get(module)!.b, b, 1e-6, `${name} ${module} B`);
      }
    },
  );

  it.each(["cat", "svd", "svd-rank"])("by %s gives the product that PEFT gives", async (name) => {
    const made = combine(await partsOf(name), methods[name]!);
    const expected = await mergedByPeft(name);
    expect([...made.modules.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
    for (const [module, { a, b }] of expected) {
      const { outSize, ...factors } = made.modules.get(module)!;
      expect(scaleOf(made, { ...factors, outSize })).toBe(1);
      expectClose(product(factors.b, factors.a, outSize), product(b, a, outSize), 1e-5, `${name} ${module}`);
    }
  });

  it("by cat, or by svd of full rank, is exact up to the rounding of float32", async () => {
    const parts = await partsOf("cat");
    expect(combinationError(parts, combine(parts, { type: "cat" }))).toBeLessThan(1e-7);
    expect(combinationError(parts, combine(parts, { type: "svd", rank: 11 }))).toBeLessThan(1e-6);
    expect(combinationError(parts, combine(parts, { type: "svd", rank: 2 }))).toBeGreaterThan(0.1);
  });

  it("gives the same bits whatever the order in which an adapter lists its modules", async () => {
    const parts = await partsOf("dare-ties");
    const turned = parts.map(({ adapter, weight }) => ({
      adapter: { ...adapter, modules: new Map([...adapter.modules].toReversed()) },
      weight,
    }));
    for (const method of Object.values(methods)) {
      expect(combine(turned, method).modules).toEqual(combine(parts, method).modules);
    }
  });

  it("has no error where the parts cancel out and nothing is left, an infinite one where something is", async () => {
    const [{ adapter }] = (await partsOf("cat")) as [WeightedAdapter];
    const nothing = [{ adapter, weight: 0 }];
    expect(combinationError(nothing, combine(nothing, { type: "cat" }))).toBe(0);
    expect(combinationError(nothing, adapter)).toBe(Infinity);
  });

  it("draws otherwise with another seed", async () => {
    const parts = await partsOf("dare-linear");
    const other = combine(parts, { type: "dare-linear", density: 0.6, seed: seed + 1n });
    expect(other.modules).not.toEqual(combine(parts, methods["dare-linear"]!).modules);
  });

  it("takes the nearest matrix of a rank: no other of that rank is closer", async () => {
    const parts = await partsOf("svd");
    const [two, three] = [2, 3].map((rank) => combinationError(parts, combine(parts, { type: "svd", rank })));
    expect(three).toBeLessThan(two!);
    const mixed = combine(await partsOf("linear"), { type: "linear" });
    const nearest = combine(await partsOf("linear"), { type: "svd", rank: 4 });
    expect(combinationError(await partsOf("linear"), nearest)).toBeLessThan(
      combinationError(await partsOf("linear"), mixed),
    );
  });

  it("is refused for no adapters, weights and densities that are no numbers, or sizes that differ", async () => {
    const [plain, patterns, conv] = await Promise.all(
      ["plain", "patterns", "conv1d"].map((name) => readAdapter(join(fixtures, name))),
    );
    const both = [plain!, patterns!].map((adapter) => ({ adapter, weight: 1 }));
    const refused = (parts: WeightedAdapter[], method: CombineMethod) => {
      try {
        return combine(parts, method);
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    expect(refused([], { type: "cat" })).toBe("adapter-merge-invalid");
    for (const given of [null, [null], [undefined], new Array(1)]) {
      expect(refused(given as never, { type: "cat" })).toBe("adapter-merge-invalid");
    }
    for (const adapter of [null, {}]) {
      expect(refused([{ adapter, weight: 1 }] as never, { type: "cat" })).toBe("adapter-invalid");
    }
    const methods = [
      ...[null, {}, { type: "magnitude", density: 0.5 }, { type: "dare-linear", density: 0.5 }],
      ...[5, -1n, 2n ** 64n].map((seed) => ({ type: "dare-ties", density: 0.5, seed })),
      { type: "ties", density: 0.5, majority: "most" },
    ];
    for (const method of methods) {
      expect(refused([both[0]!], method as never)).toBe("adapter-merge-invalid");
    }
    expect(refused([{ adapter: plain!, weight: Number.NaN }], { type: "cat" })).toBe("adapter-merge-invalid");
    expect(refused(both, { type: "linear" })).toBe("adapter-merge-invalid");
    for (const rank of [0, -1, 1.5, Number.NaN]) {
      expect(refused(both, { type: "svd", rank })).toBe("adapter-merge-invalid");
    }
    for (const density of [0, -1, 2, Number.NaN]) {
      expect(refused(both, { type: "ties", density })).toBe("adapter-merge-invalid");
    }
    expect(refused([...both, { adapter: conv!, weight: 1 }], { type: "cat" })).toBe("adapter-merge-invalid");
    const [name, module] = [...plain!.modules][0]!;
    const wider = { ...module, inSize: 12, a: module.a.slice(0, 48) };
    const other = { ...plain!, modules: new Map([[name, wider]]) };
    expect(refused([both[0]!, { adapter: other, weight: 1 }], { type: "cat" })).toBe("adapter-mismatch");
  });
});

/** An adapter of one square matrix of 64, factors uniform in ±1; `shared` A is mixed into its own. */
function random(seedOf: bigint, shared?: Float32Array): Adapter {
  const next = pcg32(seedOf);
  const uniform = () => Float32Array.from({ length: 512 }, () => next() / 2 ** 31 - 1);
  const [own, b] = [uniform(), uniform()];
  const a = shared ? own.map((value, index) => 0.1 * value + shared[index]!) : own;
  const module: LoraModule = { rank: 8, alpha: 8, inSize: 64, outSize: 64, a, b };
  const modules = new Map([["q_proj", module]]);
  return {
    baseModel: null,
    rank: 8,
    alpha: 8,
    isRankStabilized: false,
    isTransposed: false,
    targetModules: ["q_proj"],
    modules,
  };
}

it("has the errors that the README's table gives", async () => {
  const start = random(100n).modules.get("q_proj")!.a;
  const partsFrom = (shared?: Float32Array): WeightedAdapter[] =>
    [0.5, 0.3, 0.2].map((weight, index) => ({ adapter: random(BigInt(index), shared), weight }));
  const rows: [string, CombineMethod][] = [
    ["`cat`", { type: "cat" }],
    ["`svd`, rank 24", { type: "svd", rank: 24 }],
    ["`svd`, rank 8", { type: "svd", rank: 8 }],
    ["`linear`", { type: "linear" }],
    ["`ties`, density 0.5", { type: "ties", density: 0.5 }],
    ["`dare-linear`, density 0.5", { type: "dare-linear", density: 0.5, seed: 1n }],
    ["`dare-ties`, density 0.5", { type: "dare-ties", density: 0.5, seed: 1n }],
  ];
  const readme = await readFile(join(import.meta.dirname, "../README.md"), "utf8");
  for (const [name, method] of rows) {
    const errors = [partsFrom(), partsFrom(start)].map((parts) =>
      combinationError(parts, combine(parts, method)),
    );
    const [unrelated, shared] = errors.map((error) => (error < 1e-6 ? "< 1e-6" : error.toFixed(2)));
    expect(readme).toContain(`| ${name} | ${unrelated} | ${shared} |`);
  }
});

it("never throws anything untyped, whatever the weights and densities", async () => {
  const parts = await partsOf("ties-total");
  fc.assert(
    fc.property(
      fc.array(fc.double(), { minLength: 3, maxLength: 3 }),
      fc.double(),
      fc.constantFrom("linear", "ties", "dare-linear", "dare-ties", "cat", "svd"),
      (weights, density, type) => {
        const method = { type, density, seed: 1n } as CombineMethod;
        const weighted = parts.map(({ adapter }, index) => ({ adapter, weight: weights[index]! }));
        try {
          expect(combine(weighted, method).modules.size).toBe(4);
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^adapter-(merge-)?invalid$/) });
        }
      },
    ),
    { seed: 10, numRuns: 100 },
  );
});
