import { invariant } from "#runtime/errors";
import { blockTokens } from "#runtime/time-block";
import { append, create, type KvCache } from "./kv-cache.ts";
import { chooseToken, pcg32, type SamplingOptions } from "./sampler.ts";
import { floats, integers, type LoadedModel } from "./session.ts";

/** What to generate. Already checked against the model by the caller. */
export interface GenerateTask extends SamplingOptions {
  readonly promptTokenIds: readonly number[];
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

/** Generate token by token. `emit` sees each token before the next is computed; `isAborted` is asked in between. */
export async function generate(
  model: LoadedModel,
  task: GenerateTask,
  emit: (token: GeneratedToken) => void,
  isAborted: () => boolean,
): Promise<Generation> {
  const tokenIds: number[] = [];
  const logProbs: number[] = [];
  const finish = (finishReason: Generation["finishReason"]): Generation => ({
    tokenIds,
    logProbs,
    finishReason,
  });
  if (isAborted()) return finish("aborted");

  const generator = pcg32(task.seed);
  const previousTokenIds = new Set(task.promptTokenIds);
  const room = model.config.contextTokensMax - task.promptTokenIds.length;
  const limit = Math.min(task.tokensMax, room);
  let { logits, cache } = await prefill(model, task.promptTokenIds);
  for (let index = 0; index < limit; index++) {
    const { tokenId, logProb } = chooseToken(logits, task, generator, previousTokenIds);
    if (task.stopTokenIds.includes(tokenId)) return finish("stop");
    previousTokenIds.add(tokenId);
    tokenIds.push(tokenId);
    logProbs.push(logProb);
    emit({ index, tokenId, logProb });
    if (isAborted()) return finish("aborted");
    if (index + 1 < limit) logits = await decode(model, cache, tokenId);
  }
  return finish("length");
}

/** Run a whole prompt: logits[V] after its last token and the cache to continue from. */
export async function prefill(
  model: LoadedModel,
  promptTokenIds: readonly number[],
): Promise<{ logits: Float32Array; cache: KvCache }> {
  const { layers, keyValueHeadCount: headCount, headSize } = model.config;
  const capacity = blockTokens(promptTokenIds.length);
  const padded = [...promptTokenIds, ...new Array<number>(capacity - promptTokenIds.length).fill(0)];
  const run = await model.session("prefill");
  const outputs = await run({
    tokenIds: integers(padded, [1, capacity]),
    lastRows: integers([promptTokenIds.length - 1], [1]),
  });
  const shape = { headCount, headSize, length: promptTokenIds.length, capacity };
  const cache = create(
    shape,
    layersOf(outputs, "key", layers.length),
    layersOf(outputs, "value", layers.length),
  );
  return { logits: take(outputs, "logits"), cache };
}

/** Run one more token, add it to the cache, and return logits[V] after it. */
export async function decode(model: LoadedModel, cache: KvCache, tokenId: number): Promise<Float32Array> {
  const { layers, keyValueHeadCount, headSize } = model.config;
  const shape = [1, keyValueHeadCount, cache.capacity, headSize];
  const inputs: Parameters<Awaited<ReturnType<LoadedModel["session"]>>>[0] = {
    tokenIds: integers([tokenId], [1]),
    positions: integers([cache.length], [1]),
    pastBias: floats(cache.bias, [1, cache.capacity]),
  };
  cache.keys.forEach((layer, index) => {
    inputs[`pastKey.${index}`] = floats(layer, shape);
  });
  cache.values.forEach((layer, index) => {
    inputs[`pastValue.${index}`] = floats(layer, shape);
  });
  const run = await model.session("decode");
  const outputs = await run(inputs);
  append(cache, layersOf(outputs, "newKey", layers.length), layersOf(outputs, "newValue", layers.length));
  return take(outputs, "logits");
}

function layersOf(outputs: Record<string, Float32Array>, name: string, layerCount: number): Float32Array[] {
  return Array.from({ length: layerCount }, (_, layer) => take(outputs, `${name}.${layer}`));
}

function take(outputs: Record<string, Float32Array>, name: string): Float32Array {
  const values = outputs[name];
  invariant(values, `the graph has an output ${name}`);
  return values;
}
