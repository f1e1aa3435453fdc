import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sum } from "#schema/apportion";
import { disputeToleranceMicro } from "../method.ts";
import { noiseMicro, type PlayerValues, playerValues, scalePassages, scaleRecords } from "./total.ts";

const micro = fc.bigInt({ min: -50_000_000n, max: 0n });
const signed = fc.array(fc.bigInt({ min: -10_000_000n, max: 10_000_000n }), { minLength: 1, maxLength: 12 });
const value = fc.bigInt({ min: -10_000_000n, max: 10_000_000n });

describe("two players", () => {
  it("sum to v(both) − v(base) exactly, and halve what they explain together", () => {
    expect(playerValues({ baseMicro: -10n, contextMicro: -8n, adapterMicro: -7n, bothMicro: -1n })).toEqual({
      contextMicro: 4n,
      adapterMicro: 5n,
      contextHelped: false,
      dataShareWad: 9n * 10n ** 17n,
    });
    fc.assert(
      fc.property(micro, micro, micro, micro, (baseMicro, contextMicro, adapterMicro, bothMicro) => {
        const found = playerValues({ baseMicro, contextMicro, adapterMicro, bothMicro });
        expect(found.contextMicro + found.adapterMicro).toBe(bothMicro - baseMicro);
        expect(found.dataShareWad >= 0n && found.dataShareWad <= 10n ** 18n).toBe(true);
      }),
    );
  });

  it("leave a player that does nothing with nothing", () => {
    fc.assert(
      fc.property(micro, micro, (baseMicro, contextMicro) => {
        const found = playerValues({
          baseMicro,
          contextMicro,
          adapterMicro: baseMicro,
          bothMicro: contextMicro,
        });
        expect(found.adapterMicro).toBe(0n);
        expect(found.contextMicro).toBe(contextMicro - baseMicro);
      }),
    );
  });

  it("need no adapter: with one player the context's value is what it adds", () => {
    const found = playerValues({ baseMicro: -9n, contextMicro: -3n, adapterMicro: -9n, bothMicro: -3n });
    expect(found.contextMicro).toBe(6n);
    expect(found.dataShareWad).toBe((6n * 10n ** 18n) / 9n);
  });
});

describe("scaling", () => {
  const helped = (contextMicro: bigint): PlayerValues => {
    const contextHelped = contextMicro > 0n;
    return { contextMicro, adapterMicro: 0n, contextHelped, dataShareWad: 0n };
  };
  const exactly = (influencesMicro: readonly bigint[]) => ({
    influencesMicro,
    standardErrorsMicro: influencesMicro.map(() => 0n),
  });

  it("stretches passages to the context's value exactly and keeps every sign", () => {
    fc.assert(
      fc.property(signed, value, (influences, player) => {
        const { influencesMicro } = scalePassages(exactly(influences), helped(player));
        if (player <= 0n) expect(influencesMicro).toEqual(influences);
        else if (sum(influences) <= noiseMicro) expect(influencesMicro.every((x) => x === 0n)).toBe(true);
        else {
          expect(sum(influencesMicro)).toBe(player);
          influencesMicro.forEach((scaled, i) => {
            if (influences[i] === 0n) expect(scaled).toBe(0n);
            if (influences[i]! > 0n) expect(scaled >= 0n).toBe(true);
            if (influences[i]! < 0n) expect(scaled <= 0n).toBe(true);
          });
        }
      }),
    );
  });

  it("stretches no noise: neither a sum that might be arithmetic, nor one within a standard error", () => {
    const close = [1_000_000n, -999_998n];
    expect(scalePassages(exactly(close), helped(3_500_000n)).influencesMicro).toEqual([0n, 0n]);
    const drawn = { influencesMicro: [3_000n, 2_000n], standardErrorsMicro: [5_000n, 10n] };
    expect(scalePassages(drawn, helped(9_000n))).toEqual({ ...drawn, influencesMicro: [0n, 0n] });
    const certain = { ...drawn, standardErrorsMicro: [500n, 10n] };
    expect(scalePassages(certain, helped(10_000n))).toEqual({
      influencesMicro: [6_000n, 4_000n],
      standardErrorsMicro: [1_000n, 20n],
    });
  });

  it("says that the context helped only where it adds more than noise to the model that answered", () => {
    const nats = (base: bigint, context: bigint, adapter: bigint, both: bigint) =>
      playerValues({ baseMicro: base, contextMicro: context, adapterMicro: adapter, bothMicro: both });
    const known = nats(-10_000_000n, -2_000_000n, -1_000_000n, -2_000_000n);
    expect(known).toMatchObject({ contextMicro: 3_500_000n, adapterMicro: 4_500_000n, contextHelped: false });
    const almost = (gain: bigint) => nats(-10_000_000n, -2_000_000n, -1_000_000n, gain - 1_000_000n);
    expect(almost(noiseMicro).contextHelped).toBe(false);
    expect(almost(noiseMicro + 1n).contextHelped).toBe(true);
    expect(noiseMicro).toBe(disputeToleranceMicro);
    fc.assert(
      fc.property(micro, micro, micro, micro, (base, context, adapter, both) => {
        if (both <= adapter) expect(nats(base, context, adapter, both).contextHelped).toBe(false);
      }),
    );
  });

  it("never lets training records explain more than the adapter is worth, nor stretches them to it", () => {
    expect(scaleRecords([3n, -1n], 10n)).toEqual({ influencesMicro: [3n, -1n], unexplainedMicro: 7n });
    expect(scaleRecords([30n, -10n], 10n)).toEqual({ influencesMicro: [10n, -3n], unexplainedMicro: 0n });
    fc.assert(
      fc.property(signed, value, (influences, player) => {
        const { influencesMicro, unexplainedMicro } = scaleRecords(influences, player);
        const helped = sum(influencesMicro.map((x) => (x > 0n ? x : 0n)));
        expect(helped + unexplainedMicro).toBe(player > 0n ? player : 0n);
      }),
    );
  });
});
