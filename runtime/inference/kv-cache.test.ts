import { describe, expect, it } from "vitest";
import { append, create, join, type KvCache, ofSequence } from "./kv-cache.ts";

const shape = { layerCount: 1, headCount: 2, headSize: 3 };

/** A cache of one row whose every number is `value`. */
function filled(length: number, value: number): KvCache {
  const capacity = 64;
  const layer = () => [new Float32Array(shape.headCount * capacity * shape.headSize).fill(value)];
  return ofSequence(shape, length, capacity, layer(), layer());
}

describe("a cache of keys and values", () => {
  it("lets only the row wait whose next token is no number", () => {
    const cache = create(shape, 2);
    join(cache, filled(4, 1));
    join(cache, filled(9, 2));
    const keys = new Float32Array(12).fill(5);
    const values = keys.slice();
    values[7] = Number.NaN;
    expect(append(cache, [keys], [values])).toEqual([1]);
    expect(cache.lengths).toEqual([5, 9]);
    expect([...cache.keys, ...cache.values].every((layer) => layer.every(Number.isFinite))).toBe(true);
    expect(append(cache, [keys], [keys])).toEqual([]);
    expect(cache.lengths).toEqual([6, 10]);
  });

  it("takes no row of what are no numbers", () => {
    const cache = create(shape, 1);
    expect(() => join(cache, filled(4, Number.POSITIVE_INFINITY))).toThrow(
      expect.objectContaining({ code: "not-finite" }),
    );
    expect(cache.lengths).toEqual([]);
  });
});
