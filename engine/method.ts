import { type Hex, keccak256, stringToHex } from "viem";
import type { Device } from "#runtime/index";
import { checksumOf } from "#schema/checksum";
import { recordsHarmedMax, recordsHelpedMax } from "#settlement/blob/provenance";
import type { InfluenceMethod } from "./adapter/methods.ts";
import { primalColumnsMax } from "./adapter/store-shape.ts";
import { jaccardMin } from "./duplicates/classes.ts";
import { bandCount, bandRows, shingleWords } from "./duplicates/shingles.ts";
import { reputationVersion } from "./reputation/reputation.ts";
import { type Estimator, estimators } from "./score/estimate.ts";
import { errorDivisor, pairsLimits } from "./score/permutations.ts";
import { scoreQuantumWad } from "./score/quantise.ts";
import { playersMax } from "./score/shapley.ts";

/** Raised with every change of what is published. Old scores keep their method's hash. */
export const engineVersion = 2;

/**
 * How far a published value v, in micro-nats, may be from a recomputed one before it is wrong: what fp32 arithmetic of
 * another instruction set moves the log-probability of a long answer. On the profile named in the method the same bits
 * come out, so a dispute is judged there.
 */
export const disputeToleranceMicro = 1_000n;

/** All that shapes a score, as text, and its hash; stands in every epoch. */
export type Method = { text: string; hash: Hex };

/** Code that a score, and what is paid by it, depends on; tests and the faithfulness report are none. */
const code = [
  "engine/*.ts",
  "engine/{adapter,composite,device,duplicates,fetch,gradient-store,influence,queue,reputation,score,spans}/**/*.ts",
  "runtime/**/*.ts",
  "settlement/allocation/**/*.ts",
];

/**
 * The method of this engine on this machine: version, code, settings, and the runtime's execution profile (ONNX Runtime
 * version, instruction set, graphs, session options). Another instruction set is another method: its values may differ
 * by a micro-nat. `profile` is null for a black-box model.
 */
export function describeMethod(
  profile: string | null,
  {
    estimator,
    influenceMethod,
    dualMax,
    device = "cpu",
  }: { estimator: Estimator; influenceMethod: InfluenceMethod; dualMax: number; device?: Device },
): Method {
  const { isCausal } = estimators[estimator];
  const text = [
    `tributary-engine ${engineVersion}`,
    `code sha256 ${checksumOf(code)}`,
    `estimator ${estimator}${isCausal ? "" : ", not causal"}`,
    ...settings,
    `training records by ${influenceMethod}${primalNote(influenceMethod, dualMax)}, at most ${recordsHelpedMax} that helped and ${recordsHarmedMax} that harmed`,
    `gradients of training records on ${device}`,
    `dispute tolerance ${disputeToleranceMicro} micro-nats for a value, judged on this profile`,
    // Logarithms and cosines are V8's own, the same bits wherever it was compiled for the same processors.
    `numbers of V8 ${process.versions.v8} on ${process.arch}`,
    `profile ${profile ?? "none: values are nominal"}`,
  ].join("; ");
  return { text, hash: keccak256(stringToHex(text)) };
}

function primalNote(method: InfluenceMethod, dualMax: number): string {
  if (method !== "efim-dual" && method !== "hybrid") return "";
  return `, above ${dualMax} records by efim-primal on int8 gradients of at most ${primalColumnsMax} columns a matrix`;
}

const settings = [
  `exact for at most ${playersMax} players, above antithetic orders, ${pairsLimits.pairsMin} to ${pairsLimits.pairsMax} pairs`,
  `standard error at most 1/${errorDivisor} of v(N) - v(0)`,
  "seed keccak(hash of the block after the batch, receipt digest)",
  "v(S) = ln p(answer tokens | prompt with passages S, in order)",
  `players are classes of duplicates: shingles of ${shingleWords} words, Jaccard from ${jaccardMin}, ${bandCount} bands of ${bandRows}`,
  `reputation ${reputationVersion}`,
  `scoreQuantumWad ${scoreQuantumWad}`,
];
