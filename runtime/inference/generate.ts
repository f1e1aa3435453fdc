import type { SharedAdapter } from "#runtime/multi-lora/adapter-bank";
import { chooseToken, type Generator, pcg32, type SamplingOptions } from "./sampler.ts";

/** What to generate. Already checked against the model by the caller. */
export interface GenerateTask extends SamplingOptions {
  readonly promptTokenIds: readonly number[];
  /** What the answer follows; null, the default, is the base model. */
  readonly adapter?: SharedAdapter | null;
  /** Most tokens to generate, stop token excluded. */
  readonly tokensMax: number;
  /** u64 seed of the sampler. */
  readonly seed: bigint;
  readonly stopTokenIds: readonly number[];
}

/** One generated token; `index` counts from 0, `logProb` is in nats under the model itself. */
export interface GeneratedToken {
  readonly index: number;
  readonly tokenId: number;
  readonly logProb: number;
}

/** `stop`: a stop token came, and is not in the list. `length`: tokensMax or the context is reached. */
export interface Generation {
  readonly tokenIds: number[];
  readonly logProbs: number[];
  readonly finishReason: "stop" | "length" | "aborted";
}

/** Who wants the tokens: `emit` sees each before the next is computed; `isAborted` is asked in between. */
export interface Listener {
  readonly emit: (token: GeneratedToken) => void;
  readonly isAborted: () => boolean;
}

/** A generation under way. */
export interface Sequence {
  readonly task: GenerateTask;
  readonly listener: Listener;
  readonly tokenIds: number[];
  readonly logProbs: number[];
  /** Most tokens the task and the context allow. */
  readonly limit: number;
  readonly generator: Generator;
  readonly seenTokenIds: Set<number>;
}

/** Begin a generation in a context of `contextTokensMax` tokens. */
export function begin(task: GenerateTask, listener: Listener, contextTokensMax: number): Sequence {
  return {
    task,
    listener,
    tokenIds: [],
    logProbs: [],
    limit: Math.min(task.tokensMax, contextTokensMax - task.promptTokenIds.length),
    generator: pcg32(task.seed),
    seenTokenIds: new Set(task.promptTokenIds),
  };
}

/**
 * Take the next token from the logits after what there is: the token to run through the model, or why it ends.
 * @throws NotFiniteError if the logits are no numbers.
 */
export function advance(sequence: Sequence, logits: Float32Array): number | Generation["finishReason"] {
  const { task, listener, tokenIds, logProbs, limit, generator, seenTokenIds } = sequence;
  if (tokenIds.length >= limit) return "length";
  const { tokenId, logProb } = chooseToken(logits, task, generator, seenTokenIds);
  if (task.stopTokenIds.includes(tokenId)) return "stop";
  seenTokenIds.add(tokenId);
  tokenIds.push(tokenId);
  logProbs.push(logProb);
  listener.emit({ index: tokenIds.length - 1, tokenId, logProb });
  if (listener.isAborted()) return "aborted";
  return tokenIds.length < limit ? tokenId : "length";
}
