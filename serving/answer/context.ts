import type { Hex } from "viem";
import { renderPrompt, type Tokenizer } from "#runtime/index";
import type { Candidate } from "#settlement/blob/disclosure";
import type { Library, SourceChunk } from "../live-index.ts";
import { rank } from "../retrieval/rank.ts";

/** What a question is answered from: the committed candidates in rank order and the prompt made of those in context. */
export type Context = { candidates: Candidate[]; context: SourceChunk[]; promptTokenIds: number[] };

type Limits = { candidateCount: number; contextCount: number; promptTokensMax: number };

/**
 * The best candidates for a question; the first `contextCount` of them are the prompt's passages, or as many as leave
 * room for the answer. Null where the question alone does not fit. Depends on the library's chunks and the question only.
 */
export function choose(
  library: Library,
  tokenizer: Tokenizer,
  question: string,
  limits: Limits,
): Context | null {
  const ranked = rank(library.index, question, limits.candidateCount);
  const chunkOf = (chunkId: Hex) => library.chunks.get(chunkId)!;
  for (let count = Math.min(limits.contextCount, ranked.length); count >= 0; count--) {
    const context = ranked.slice(0, count).map(({ chunkId }) => chunkOf(chunkId));
    const passages = context.map(({ text }) => text);
    const promptTokenIds = tokenizer.encode(renderPrompt({ passages, question }));
    if (promptTokenIds.length > limits.promptTokensMax) continue;
    const candidates = ranked.map((candidate, position) => ({ ...candidate, inContext: position < count }));
    return { candidates, context, promptTokenIds };
  }
  return null;
}
