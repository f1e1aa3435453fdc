import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pcg32 } from "#runtime/inference/sampler";
import { sum } from "#schema/apportion";
import { recordsHarmedMax, recordsHelpedMax } from "#settlement/blob/provenance";
import { dataInf } from "../influence/datainf.ts";
import { dual, dualRecordsMax, scores } from "../influence/efim.ts";
import { matrix, row, times } from "../influence/matrix.ts";
import { adamDirection, less, tracIn } from "../influence/trajectory.ts";
import { complement, trak } from "../influence/trak.ts";
import { recordInfluences } from "./influence.ts";
import {
  estimatorOf,
  InfluenceMethodError,
  influenceMethodFrom,
  influenceMethods,
  RecordsTooManyError,
  storeMethodOf,
} from "./methods.ts";
import { queryOf, type RecordState, solve, solveBlock } from "./solve.ts";

const positive = (values: readonly bigint[]) => values.filter((value) => value > 0n);

describe("influences of records on one answer", () => {
  const drawn = fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 1, maxLength: 90 });

  it("never explain more than the adapter is worth, and list the largest", () => {
    fc.assert(
      fc.property(drawn, fc.bigInt({ min: -10_000_000n, max: 10_000_000n }), (values, adapterMicro) => {
        const { listed, unexplainedMicro } = recordInfluences(values, adapterMicro)!;
        const influences = listed.map(({ influenceMicro }) => influenceMicro);
        const room = adapterMicro > 0n ? adapterMicro : 0n;
        expect(sum(positive(influences)) + unexplainedMicro <= room).toBe(true);
        expect(positive(influences).length).toBeLessThanOrEqual(recordsHelpedMax);
        expect(influences.length - positive(influences).length).toBeLessThanOrEqual(recordsHarmedMax);
        const helped = positive(influences);
        expect(helped).toEqual([...helped].sort((a, b) => (a > b ? -1 : 1)));
      }),
    );
  });

  it("break ties by the order of training, and divide by the number of records", () => {
    const values = Array.from({ length: 40 }, () => 40);
    const { listed, unexplainedMicro } = recordInfluences(values, 10n ** 9n)!;
    expect(listed.map(({ index }) => index)).toEqual(Array.from({ length: recordsHelpedMax }, (_, i) => i));
    expect(listed[0]!.influenceMicro).toBe(1_000_000n);
    expect(unexplainedMicro).toBe(10n ** 9n - 40_000_000n);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, -1e300])("are none where one is %s", (value) => {
    expect(recordInfluences([1, value, 2], 5n)).toBeNull();
  });
});

describe("what a store keeps of a block", () => {
  const block = matrix(3, 4, Float64Array.from([1, 2, 0, -1, 0.5, 0, 3, 1, -2, 1, 1, 0]));
  const query = Float64Array.from([0.3, -1, 2, 0.7]);

  it("gives the scores of its method by one product", () => {
    const close = (a: Float64Array, b: Float64Array) => {
      for (const [i, value] of a.entries()) expect(value).toBeCloseTo(b[i]!, 12);
    };
    close(times(solveBlock("efim-dual", block, 0.1), query), scores(dual([block], 0.1), [query]));
    close(times(solveBlock("datainf", block, 0.1), query), dataInf([block], [query]));
    close(times(solveBlock("grad-dot", block, 0.1), query), times(block, query));
  });

  it("is nothing where all gradients are zero", () => {
    const zeros = matrix(2, 3);
    for (const method of ["efim-dual", "datainf", "grad-dot"] as const)
      expect([...solveBlock(method, zeros, 0.1).values]).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

describe("what a store keeps of states of a training", () => {
  const drawn = (seed: number) => {
    const next = pcg32(BigInt(seed));
    return (count: number) => Float64Array.from({ length: count }, () => next() / 2 ** 31 - 1);
  };
  const widths = [5, 3];
  const [n, ratio] = [4, 0.1];
  const states = [1, 2].map((seed): RecordState => {
    const of = drawn(seed);
    const blocks = widths.map((width) => matrix(n, width, of(n * width)));
    blocks[0]!.values.fill(0, 0, 5);
    blocks[1]!.values.fill(0, 0, 3);
    const moments = widths.map((width) => {
      return { first: of(width), second: of(width).map((x) => x * x), step: 3 * seed };
    });
    return { blocks, losses: Float64Array.from([0, 0.02, 0.5, 9]), learningRate: 0.01 / seed, moments };
  });
  const queries = [3, 4].map((seed) => widths.map(drawn(seed)));
  const scored = (method: "trak" | "tracin" | "less", count: number) => {
    const store = solve(method, states.slice(0, count), ratio);
    const query = queryOf(method, queries.slice(0, count));
    return store.reduce(
      (sum, block, at) => sum.map((x, i) => x + times(block, query[at]!)[i]!),
      new Float64Array(n),
    );
  };
  const close = (found: Float64Array, wanted: Float64Array) => {
    for (const [i, value] of found.entries()) expect(value).toBeCloseTo(wanted[i]!, 9);
    expect(Math.max(...wanted.map(Math.abs))).toBeGreaterThan(0.001);
  };

  it("gives TracIn's scores over all of them", () => {
    const checkpoints = states.map((state, at) => ({ ...state, query: queries[at]! }));
    close(
      scored("tracin", 2),
      tracIn(checkpoints).map((x) => n * x),
    );
  });

  it("gives LESS's scores, by Adam's steps for the records, and nothing to one that teaches nothing", () => {
    const checkpoints = states.map((state, at) => {
      const blocks = state.blocks.map((block, b) => {
        const steps = Array.from({ length: n }, (_, i) => [
          ...adamDirection(row(block, i), state.moments![b]!),
        ]);
        return matrix(
          n,
          block.columns,
          Float64Array.from(steps.flatMap((step, i) => (i === 0 ? step.map(() => 0) : step))),
        );
      });
      return { blocks, query: queries[at]!, learningRate: state.learningRate };
    });
    const found = scored("less", 2);
    close(
      found,
      less(checkpoints).map((x) => n * x),
    );
    expect(found[0]).toBe(0);
  });

  it("gives TRAK's scores, as effects on the log-probability of the query", () => {
    const { blocks, losses } = states[0]!;
    const complements = losses.map((loss) => Math.max(complement(-loss), 1e-6));
    const columns = 8;
    const rows = Array.from({ length: n }, (_, i) =>
      blocks.flatMap((block) => [...row(block, i)].map((x) => x / complements[i]!)),
    );
    const features = matrix(n, columns, Float64Array.from(rows.flat()));
    const queryComplement = 0.3;
    const query = Float64Array.from(queries[0]!.flatMap((v) => [...v]).map((x) => x / queryComplement));
    const reference = trak([{ features, query, complements }], ratio * columns);
    close(
      scored("trak", 1),
      reference.map((x) => n * queryComplement * x),
    );
  });
});

describe("the methods there are", () => {
  it("are found by their names", () => {
    for (const method of influenceMethods) expect(influenceMethodFrom(method)).toBe(method);
  });

  it("are no others", () => {
    expect(() => influenceMethodFrom("magic")).toThrow(InfluenceMethodError);
    expect(() => influenceMethodFrom("magic")).toThrow(/no such method\. Choose one of efim-dual, .*less/);
  });
});

describe("the store a method starts from", () => {
  it("is the primal one by the number of records alone", () => {
    expect(storeMethodOf("efim-dual", dualRecordsMax)).toBe("efim-dual");
    expect(storeMethodOf("efim-dual", dualRecordsMax + 1)).toBe("efim-primal");
    expect(storeMethodOf("hybrid", dualRecordsMax + 1)).toBe("efim-primal");
    expect(storeMethodOf("tracin", dualRecordsMax + 1)).toBe("tracin");
    expect(() => storeMethodOf("trak", dualRecordsMax + 1)).toThrow(RecordsTooManyError);
    expect(estimatorOf("efim-dual", "efim-primal")).toBe("efim-primal");
    expect(estimatorOf("hybrid", "efim-primal")).toBe("hybrid");
  });
});
