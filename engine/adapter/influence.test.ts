import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sum } from "#schema/apportion";
import { recordsHarmedMax, recordsHelpedMax } from "#settlement/blob/provenance";
import { dataInf } from "../influence/datainf.ts";
import { dual, scores } from "../influence/efim.ts";
import { matrix, times } from "../influence/matrix.ts";
import { recordInfluences } from "./influence.ts";
import { InfluenceMethodError, influenceMethodFrom, influenceMethods, solveBlock } from "./methods.ts";

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

describe("the methods there are", () => {
  it("are found by their names", () => {
    for (const method of influenceMethods) expect(influenceMethodFrom(method)).toBe(method);
  });

  it.each([
    ["tracin", /checkpoints of the training; at the last one it is grad-dot\. Choose one of efim-dual/],
    ["LESS", /state of its optimizer/],
    ["trak", /several trainings/],
    ["magic", /no such method\. Choose one of/],
  ])("are not %s, and why is said", (name, reason) => {
    expect(() => influenceMethodFrom(name)).toThrow(InfluenceMethodError);
    expect(() => influenceMethodFrom(name)).toThrow(reason);
  });
});
