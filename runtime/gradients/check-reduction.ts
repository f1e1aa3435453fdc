import type { Targets } from "#runtime/decoder/adapted";
import { check, isObject } from "#runtime/request";
import type { Reduction } from "./gradient-graph.ts";
import type { Queries } from "./gradients.ts";

/** Most rows and columns of a projection: sides no longer than that are never shortened to them anyway. */
const sideMax = 2 ** 20;

/** Most queries of one call. */
const queryCountMax = 2 ** 16;

/** @throws InvalidRequestError naming the field. */
export function checkReduction(reduction: Reduction): void {
  check(isObject(reduction), "reduction", "an object", reduction);
  const { kind } = reduction;
  const kinds = ["full", "projected", "products"];
  check(kinds.includes(kind), "reduction.kind", kinds.join(" or "), kind);
  if (kind !== "projected") return;
  const { rows, columns, seed } = reduction;
  for (const [field, given] of Object.entries({ rows, columns })) {
    check(isCount(given, sideMax), `reduction.${field}`, `a whole number from 1 to ${sideMax}`, given);
  }
  const isSeed = typeof seed === "bigint" && seed >= 0n && seed < 2n ** 64n;
  check(isSeed, "reduction.seed", "an unsigned 64-bit integer", seed);
}

/** Queries are given where the reduction multiplies with them, and only there, of each factor's size. @throws InvalidRequestError */
export function checkQueries(targets: Targets, { kind }: Reduction, queries: Queries | undefined): void {
  if (kind !== "products") {
    check(queries === undefined, "queries", "none but of the reduction products", queries);
    return;
  }
  check(isObject(queries) && queries.factors instanceof Map, "queries", "a count and a map", queries);
  const { count, factors } = queries as Queries;
  check(isCount(count, queryCountMax), "queries.count", `a whole number from 1 to ${queryCountMax}`, count);
  for (const [name, { linear, module }] of targets) {
    for (const [key, rows, columns] of [
      [`${name}.a`, module.rank, linear.inSize],
      [`${name}.b`, linear.outSize, module.rank],
    ] as const) {
      const values = factors.get(key);
      const isShaped = values instanceof Float32Array && values.length === count * rows * columns;
      const given = values instanceof Float32Array ? `${values.length} numbers` : values;
      check(isShaped, `queries.factors ${key}`, `float32 [${count}, ${rows}, ${columns}]`, given);
    }
  }
}

function isCount(given: number, max: number): boolean {
  return Number.isSafeInteger(given) && given >= 1 && given <= max;
}
