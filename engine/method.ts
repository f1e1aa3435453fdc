import { type Hex, keccak256, stringToHex } from "viem";
import { scoreQuantumWad } from "./score/quantise.ts";
import { playersMax } from "./score/shapley.ts";

/** Raised with every change that can move a published score. Old scores keep their method's hash. */
export const engineVersion = 2;

/** All that shapes a score, as text, and its hash; stands in every epoch. */
export type Method = { text: string; hash: Hex };

/**
 * The method of this engine on this machine: version, way of scoring, quantum, and the runtime's execution profile
 * (ONNX Runtime version, instruction set, graphs, session options). Another instruction set is another method: its
 * values may differ by a micro-nat.
 */
export function describeMethod(profile: string): Method {
  const text = [
    `tributary-engine ${engineVersion}`,
    `exact Shapley values, at most ${playersMax} chunks`,
    "v(S) = ln p(answer tokens | prompt with chunks S, in order)",
    `scoreQuantumWad ${scoreQuantumWad}`,
    `profile ${profile}`,
  ].join("; ");
  return { text, hash: keccak256(stringToHex(text)) };
}
