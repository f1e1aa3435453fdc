import { setImmediate } from "node:timers/promises";
import { invariant } from "#runtime/errors";
import { createPrefixCache, type PrefixCache } from "#runtime/multi-lora/prefix-cache";
import { cacheBytes } from "./chunks.ts";
import { cacheShapeOf, decode, prefill } from "./forward.ts";
import {
  advance,
  begin,
  type GenerateTask,
  type Generation,
  type Listener,
  type Sequence,
} from "./generate.ts";
import { create, join, type KvCache, leave, roomFor } from "./kv-cache.ts";
import type { LoadedModel } from "./session.ts";

/** Most sequences that decode together, unless the caller sets another number. */
export const rowsMaxDefault = 8;

/** Generates several answers at once: they share each step's reading of the weights. */
export interface Batcher {
  /**
   * Join the running batch at its next step, at most `rowsMax` at a time; others wait their turn.
   * @throws NotFiniteError if the weights give no number for this answer; SessionError if a step fails.
   */
  generate(task: GenerateTask, listener: Listener): Promise<Generation>;
}

/** A place in the batch. Row r of the cache belongs to `rows[r]`. */
interface Row {
  readonly sequence: Sequence;
  readonly settle: Settle;
  logits: Float32Array;
}
interface Settle {
  readonly resolve: (generation: Generation) => void;
  readonly reject: (error: unknown) => void;
}
interface State {
  readonly model: LoadedModel;
  readonly rowsMax: number;
  readonly cache: KvCache;
  /** Nothing is reused without it. */
  readonly prefixes: PrefixCache | undefined;
  readonly rows: Row[];
  readonly waiting: { task: GenerateTask; listener: Listener; settle: Settle }[];
  isRunning: boolean;
}

/** A batcher over one model in this thread. The caller bounds how many tasks it hands over. */
export function createBatcher(model: LoadedModel, rowsMax: number): Batcher {
  const { prefixBytesMax } = model;
  const state: State = {
    model,
    rowsMax,
    cache: create(cacheShapeOf(model), Math.max(rowsMax, model.rowsMin)),
    prefixes: prefixBytesMax > 0 ? createPrefixCache(prefixBytesMax) : undefined,
    rows: [],
    waiting: [],
    isRunning: false,
  };
  return {
    generate: (task, listener) =>
      new Promise((resolve, reject) => {
        state.waiting.push({ task, listener, settle: { resolve, reject } });
        if (!state.isRunning) void run(state);
      }),
  };
}

/** Step until nobody is left. Between steps the event loop turns, so that others can join or abort. */
async function run(state: State): Promise<void> {
  state.isRunning = true;
  while (state.waiting.length > 0 || state.rows.length > 0) {
    while (hasRoom(state)) await admit(state);
    await step(state);
    await setImmediate();
  }
  state.model.resident?.clear();
  state.isRunning = false;
}

/** Whether who waits longest may join: rows and memory are left, counting every row at the length it may reach. */
function hasRoom({ model, waiting: [next], rows, rowsMax, cache }: State): boolean {
  if (!next || rows.length >= rowsMax) return false;
  if (rows.length === 0) return true;
  const { config, cacheBytesMax } = model;
  const tokens = Math.max(
    reach(next.task, config.contextTokensMax),
    ...rows.map(({ sequence }) => reach(sequence.task, config.contextTokensMax)),
  );
  return cacheBytes(config, tokens, roomFor(cache, rows.length + 1)) <= cacheBytesMax;
}

/** Most tokens of a prompt and its answer. */
function reach({ promptTokenIds, tokensMax }: GenerateTask, contextTokensMax: number): number {
  return Math.min(contextTokensMax, promptTokenIds.length + tokensMax);
}

/** Run the prompt of who waits longest and give it a row. */
async function admit(state: State): Promise<void> {
  const next = state.waiting.shift();
  invariant(next, "somebody waits");
  const { task, listener, settle } = next;
  try {
    const sequence = begin(task, listener, state.model.config.contextTokensMax);
    if (listener.isAborted()) return settle.resolve(finished(sequence, "aborted"));
    const { adapter = null, promptTokenIds } = task;
    const { logits, cache } = await prefill(state.model, promptTokenIds, adapter, state.prefixes);
    join(state.cache, cache);
    state.prefixes?.keep(adapter?.id ?? null, promptTokenIds, cache);
    state.rows.push({ sequence, settle, logits });
  } catch (error) {
    settle.reject(error);
  }
}

/** Choose a token for every row, let go of those that end, and run the others' tokens. */
async function step(state: State): Promise<void> {
  const tokenIds = new Array<number>(state.rows.length);
  for (let row = state.rows.length - 1; row >= 0; row--) {
    const tokenId = choose(state.rows[row]!);
    if (tokenId === null) release(state, row, tokenIds);
    else tokenIds[row] = tokenId;
  }
  if (state.rows.length === 0) return;
  try {
    const adapters = state.rows.map(({ sequence }) => sequence.task.adapter ?? null);
    const logits = await decode(state.model, state.cache, tokenIds, adapters);
    state.rows.forEach((row, index) => {
      row.logits = logits[index]!;
    });
  } catch (error) {
    while (state.rows.length > 0) {
      state.rows.at(-1)?.settle.reject(error);
      release(state, state.rows.length - 1, tokenIds);
    }
  }
}

/** The row's next token, or null when it ended and its caller was told. */
function choose({ sequence, settle, logits }: Row): number | null {
  try {
    const outcome = advance(sequence, logits);
    if (typeof outcome === "number") return outcome;
    settle.resolve(finished(sequence, outcome));
  } catch (error) {
    settle.reject(error);
  }
  return null;
}

/** Free a row; the last takes its place here as it does in the cache. */
function release(state: State, row: number, tokenIds: number[]): void {
  leave(state.cache, row);
  const last = state.rows.length - 1;
  state.rows[row] = state.rows[last]!;
  tokenIds[row] = tokenIds[last]!;
  state.rows.pop();
  tokenIds.length = last;
}

function finished(sequence: Sequence, finishReason: Generation["finishReason"]): Generation {
  return { tokenIds: sequence.tokenIds, logProbs: sequence.logProbs, finishReason };
}
