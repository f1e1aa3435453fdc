import { readFileSync } from "node:fs";
import { lexicographicSortSchema, parse, printSchema, validate } from "graphql";
import { describe, expect, it } from "vitest";
import { measure, refusal } from "./cost.ts";
import { exampleQuery } from "./example-query.ts";
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

  it("is never below what a query without a page costs, and is found at once through fragments in fragments", () => {
    const negative = measured("{ claims(first: -1000000) { nodes { txHash } } status { chainBlock } }");
    expect(negative.cost).toBe(5);
    expect(measured("query ($n: Int) { claims(first: $n) { endCursor } }", { n: -9 }).cost).toBe(2);
    const levels = Array.from(
      { length: 60 },
      (_, i) => `fragment F${i} on Status { ...F${i + 1} ...F${i + 1} }`,
    );
    const nested = `{ status { ...F0 } } ${levels.join(" ")} fragment F60 on Status { chainBlock }`;
    const { cost } = measure(schema, parse(nested), { variables: {} });
    expect(cost).toBe(1 + 2 ** 60);
  });

  it("above the limit is refused with the cost and the limit", () => {
    const nested = "{ claims(first: 100) { nodes { entries(first: 100) { nodes { leaf role } } } } }";
    expect(refusal(measured(nested))?.message).toMatch(/^The query costs \d+\. The limit is 20000\.$/);
    const deep = `{ contribution(id: 1) { ${"contributor { contributions(first: 1) { nodes { ".repeat(5)} id ${"} } }".repeat(5)} } }`;
    expect(refusal(measured(deep))?.message).toMatch(/levels deep\. The limit is 14\./);
    expect(refusal(measured("{ status { chainBlock } }"))).toBeNull();
  });
});

describe("the example query", () => {
  it("costs less than the limit and is the one that the README shows", () => {
    expect(refusal(measured(exampleQuery))).toBeNull();
    expect(measured(exampleQuery).cost).toBeLessThan(1_000);
    const readme = readFileSync(new URL("README.md", import.meta.url), "utf8");
    expect(readme).toContain(exampleQuery);
  });
});

describe("a page", () => {
  it("has a size from 1 to the limit", () => {
    expect(sizeOf({})).toBe(20);
    expect(sizeOf({ first: 100 })).toBe(100);
    for (const first of [0, -1, 101]) expect(() => sizeOf({ first })).toThrow(/1 to 100/);
  });
});
