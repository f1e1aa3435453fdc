import { expect, it } from "vitest";
import { type Adapter, bytesOf, checkAdapter, isTarget, type LoraModule, scaleOf } from "./adapter.ts";

const layer = { rank: 2, alpha: 4, inSize: 3, outSize: 1, a: new Float32Array(6), b: new Float32Array(2) };
const adapter: Adapter = {
  baseModel: null,
  rank: 2,
  alpha: 4,
  isRankStabilized: false,
  isTransposed: false,
  targetModules: ["q_proj"],
  modules: new Map([["model.layers.0.self_attn.q_proj", layer]]),
};

it("scales by alpha over rank, or over its root where the adapter is rank-stabilised", () => {
  expect(scaleOf(adapter, layer)).toBe(2);
  expect(scaleOf({ isRankStabilized: true }, { ...layer, rank: 4 })).toBe(2);
});

it("matches a target by the full name or by whole parts at its end", () => {
  expect(isTarget(["q_proj"], "q_proj")).toBe(true);
  expect(isTarget(["self_attn.q_proj"], "model.layers.0.self_attn.q_proj")).toBe(true);
  expect(isTarget(["proj"], "model.layers.0.self_attn.q_proj")).toBe(false);
  expect(isTarget(["layers.0"], "model.layers.0.self_attn.q_proj")).toBe(false);
});

it("counts the bytes of both factors", () => {
  expect(bytesOf(adapter)).toBe(32);
});

it.each<[string, string, Partial<LoraModule>]>([
  ["rank is 1 to", "x.q_proj", { rank: 0 }],
  ["alpha is not a finite number", "x.q_proj", { alpha: Number.NaN }],
  ["A has 5 numbers", "x.q_proj", { a: new Float32Array(5) }],
  ["B has 3 numbers", "x.q_proj", { b: new Float32Array(3) }],
  ["a factor is empty", "x.q_proj", { inSize: 0, a: new Float32Array(0) }],
  ["a factor is not finite", "x.q_proj", { b: Float32Array.of(1, Number.NaN) }],
  ["not a module's name", "../q_proj", {}],
  ["target_modules does not name it", "x.k_proj", {}],
])("refuses a module because %s", (reason, name, changes) => {
  const made = { ...adapter, modules: new Map([[name, { ...layer, ...changes }]]) };
  expect(() => checkAdapter(made)).toThrow(expect.objectContaining({ code: "adapter-invalid", key: name }));
  expect(() => checkAdapter(made)).toThrow(reason);
});

it.each<[string, unknown]>([
  ["adapter", null],
  ["modules", { ...adapter, modules: {} }],
  ["rank", { ...adapter, rank: 0 }],
  ["rank", { ...adapter, rank: "2" }],
  ["alpha", { ...adapter, alpha: Number.NaN }], // JSON has none: nobody could read what was written.
  ["targetModules", { ...adapter, targetModules: "q_proj" }],
  ["q_proj", { ...adapter, modules: new Map([["q_proj", null]]) }],
  ["q_proj", { ...adapter, modules: new Map([["q_proj", { ...layer, a: [1, 2, 3, 4, 5, 6] }]]) }],
])("refuses what is no adapter, naming %s", (key, given) => {
  const refused = expect.objectContaining({ code: "adapter-invalid", key });
  expect(() => checkAdapter(given as Adapter)).toThrow(refused);
});

it("refuses an adapter of no modules, which would do nothing", () => {
  expect(() => checkAdapter({ ...adapter, modules: new Map() })).toThrow("there are none");
  expect(() => checkAdapter(adapter)).not.toThrow();
});
