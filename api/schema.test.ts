import { lexicographicSortSchema, parse, printSchema, validate } from "graphql";
import { describe, expect, it } from "vitest";
import { measure, refusal } from "./cost.ts";
import { sizeOf } from "./page.ts";
import { schema } from "./schema.ts";

const measured = (text: string, variables = {}) => {
  const document = parse(text);
  expect(validate(schema, document)).toEqual([]);
  return measure(schema, document, { variables });
};

describe("the GraphQL schema", () => {
  it("is the one committed as schema.graphql", async () => {
    await expect(`${printSchema(lexicographicSortSchema(schema))}\n`).toMatchFileSnapshot("schema.graphql");
  });
});

describe("the cost of a query", () => {
  it("counts fields as often as they can be resolved", () => {
    expect(measured("{ status { chainBlock finalBlock } }")).toEqual({ cost: 3, depth: 2 });
    expect(measured("{ claims(first: 10) { nodes { txHash } } }")).toEqual({ cost: 21, depth: 3 });
    expect(measured('{ receipt(digest: "0x") { candidates { rank } } }')).toEqual({ cost: 22, depth: 3 });
    expect(measured("query ($n: Int) { claims(first: $n) { endCursor } }", { n: 7 })).toEqual({
      cost: 8,
      depth: 2,
    });
  });

  it("counts through fragments, and introspection as nothing", () => {
    const text = "{ a: status { ...S } b: status { ...S } } fragment S on Status { chainBlock }";
    expect(measured(text)).toEqual({ cost: 4, depth: 2 });
    expect(measured("{ __schema { types { fields { type { name } } } } }")).toEqual({ cost: 0, depth: 0 });
  });

  it("above the limit is refused with the cost and the limit", () => {
    const nested = "{ claims(first: 100) { nodes { entries(first: 100) { nodes { leaf role } } } } }";
    expect(refusal(measured(nested))?.message).toMatch(/^The query costs \d+\. The limit is 20000\.$/);
    const deep = `{ contribution(id: 1) { ${"contributor { contributions(first: 1) { nodes { ".repeat(5)} id ${"} } }".repeat(5)} } }`;
    expect(refusal(measured(deep))?.message).toMatch(/levels deep\. The limit is 14\./);
    expect(refusal(measured("{ status { chainBlock } }"))).toBeNull();
  });
});

describe("a page", () => {
  it("has a size from 1 to the limit", () => {
    expect(sizeOf({})).toBe(20);
    expect(sizeOf({ first: 100 })).toBe(100);
    for (const first of [0, -1, 101]) expect(() => sizeOf({ first })).toThrow(/1 to 100/);
  });
});
