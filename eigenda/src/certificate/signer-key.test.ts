import { keccak256, stringToBytes } from "viem";
import { beforeAll, expect, it } from "vitest";
import type { CurveBackend } from "../curve/backend.ts";
import { frModulus } from "../curve/field.ts";
import { loadMcl } from "../curve/mcl.ts";
import { nobleBackend } from "../curve/noble.ts";
import { g1Generator, g1Infinity, g2Generator } from "../curve/points.ts";
import type { Certificate } from "./certificate.ts";
import { signerKeyState } from "./signer-key.ts";

/** An operator by its secret key, with the quorums it belongs to. */
type Operator = { secret: bigint; quorums: readonly number[]; signs: boolean };

let mcl: CurveBackend;
beforeAll(async () => {
  mcl = await loadMcl();
});

it("finds whose key it is whichever quorums the non-signers belong to, up to 24 of them in two quorums", () => {
  for (const [count, quorums] of [
    [0, 2],
    [1, 2],
    [7, 2],
    [24, 2],
    [6, 3],
    [14, 3],
    [4, 5],
    [60, 1],
  ] as const) {
    const state = attestationOf(mcl, [...nonSigners(count, quorums), ...signers(quorums)], quorums);
    expect(signerKeyState(mcl, state)).toBe("consistent");
    const sameKeyTwice = {
      ...state,
      quorumApks: [...state.quorumApks.slice(1), state.quorumApks[0]!, g1Generator],
    };
    expect(signerKeyState(mcl, sameKeyTwice)).not.toBe("consistent");
  }
});

it("refuses a non-signer who is missing, too many or another's, where it can tell", () => {
  const state = attestationOf(mcl, [...nonSigners(9, 2), ...signers(2)], 2);
  const { nonSignerPubkeys } = state;
  for (const changed of [
    nonSignerPubkeys.slice(1),
    [...nonSignerPubkeys, mcl.mulG1(g1Generator, secretOf("somebody"))],
    [mcl.mulG1(g1Generator, secretOf("somebody")), ...nonSignerPubkeys.slice(1)],
  ])
    expect(signerKeyState(mcl, { ...state, nonSignerPubkeys: changed })).toBe("inconsistent");
});

it("says that it cannot tell of more non-signers than it tries, unless all belong alike", () => {
  expect(signerKeyState(mcl, attestationOf(mcl, [...nonSigners(25, 2), ...signers(2)], 2))).toBe(
    "undetermined",
  );
  for (const quorums of [[0, 1], [1]]) {
    const alike = nonSigners(200, 2).map((one) => ({ ...one, quorums }));
    expect(signerKeyState(mcl, attestationOf(mcl, [...alike, ...signers(2)], 2))).toBe("consistent");
  }
});

it("says the same on both backends", () => {
  const state = attestationOf(mcl, [...nonSigners(4, 2), ...signers(2)], 2);
  const wrong = { ...state, nonSignerPubkeys: state.nonSignerPubkeys.slice(1) };
  for (const backend of [mcl, nobleBackend]) {
    expect(signerKeyState(backend, state)).toBe("consistent");
    expect(signerKeyState(backend, wrong)).toBe("inconsistent");
  }
});

/** Each in some quorums, not the same for all: the index in base 2^quorums − 1, plus one, is the set. */
function nonSigners(count: number, quorums: number): Operator[] {
  return Array.from({ length: count }, (_, index) => {
    const set = ((index * 5) % (2 ** quorums - 1)) + 1;
    return {
      secret: secretOf(`non-signer ${index}`),
      quorums: Array.from({ length: quorums }, (_, quorum) => quorum).filter((quorum) => set & (1 << quorum)),
      signs: false,
    };
  });
}

function signers(quorums: number): Operator[] {
  const all = Array.from({ length: quorums }, (_, quorum) => quorum);
  return [0, 1, 2].map((index) => ({
    secret: secretOf(`signer ${index}`),
    quorums: all.slice(index % quorums),
    signs: true,
  }));
}

/** Keys that no small sum relates. */
function secretOf(name: string): bigint {
  return BigInt(keccak256(stringToBytes(name))) % frModulus;
}

/** What the aggregate of these operators' signatures says of their keys, as EigenLayer sums them: once for each quorum. */
function attestationOf(backend: CurveBackend, operators: readonly Operator[], quorums: number): Certificate {
  const total = (chosen: readonly Operator[]) =>
    chosen.reduce((sum, { secret, quorums: own }) => sum + secret * BigInt(own.length), 0n);
  const quorumApks = Array.from({ length: quorums }, (_, quorum) =>
    operators
      .filter(({ quorums: own }) => own.includes(quorum))
      .reduce((sum, { secret }) => backend.addG1(sum, backend.mulG1(g1Generator, secret)), g1Infinity),
  );
  const nonSignerPubkeys = operators
    .filter(({ signs }) => !signs)
    .map(({ secret }) => backend.mulG1(g1Generator, secret));
  const apkG2 = backend.mulG2(g2Generator, total(operators.filter(({ signs }) => signs)));
  // Only these three fields are read.
  return { quorumApks, nonSignerPubkeys, apkG2 } as Partial<Certificate> as Certificate;
}
