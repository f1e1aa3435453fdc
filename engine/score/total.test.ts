import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sum } from "#schema/apportion";
import { playerValues, scalePassages, scaleRecords } from "./total.ts";

const micro = fc.bigInt({ min: -50_000_000n, max: 0n });
const signed = fc.array(fc.bigInt({ min: -10_000_000n, max: 10_000_000n }), { minLength: 1, maxLength: 12 });
const value = fc.bigInt({ min: -10_000_000n, max: 10_000_000n });

describe("two players", () => {
  it("sum to v(both) − v(base) exactly, and halve what they explain together", () => {
    expect(playerValues({ baseMicro: -10n, contextMicro: -8n, adapterMicro: -7n, bothMicro: -1n })).toEqual({
      contextMicro: 4n,
      adapterMicro: 5n,
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
  it("stretches passages to the context's value exactly and keeps every sign", () => {
    fc.assert(
      fc.property(signed, value, (influences, player) => {
        const { influencesMicro, unexplainedMicro } = scalePassages(influences, player);
        if (sum(influences) > 0n && player > 0n) {
          expect(sum(influencesMicro)).toBe(player);
          expect(unexplainedMicro).toBe(0n);
          influencesMicro.forEach((scaled, i) => {
            if (influences[i] === 0n) expect(scaled).toBe(0n);
            if (influences[i]! > 0n) expect(scaled >= 0n).toBe(true);
            if (influences[i]! < 0n) expect(scaled <= 0n).toBe(true);
          });
        } else {
          expect(influencesMicro).toEqual(influences);
          expect(unexplainedMicro).toBe(player > 0n ? player : 0n);
        }
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
