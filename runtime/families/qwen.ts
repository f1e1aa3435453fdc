import { z } from "zod";
import type { Decoder } from "#runtime/decoder/description";
import { count, isListedLocal, layerTypes, parseKeys } from "./config-keys.ts";
import { llamaKeys, llamaLike } from "./llama.ts";

const keys = {
  ...llamaKeys,
  hidden_act: z.literal("silu").default("silu"),
  use_sliding_window: z.boolean().default(false),
  sliding_window: count(100_000_000).nullable().default(4096),
  max_window_layers: z.int().min(0).max(512).default(28),
  layer_types: layerTypes,
};
const schema2 = z.looseObject(keys);
const schema3 = z.looseObject({ ...keys, attention_bias: z.boolean().default(false) });

/** Qwen2 and 2.5 (Qwen Team 2024): Llama with biases on queries, keys and values; upper layers may have a window. */
export function decodeQwen2(json: unknown): Decoder {
  const raw = parseKeys(schema2, json);
  return llamaLike(raw, { biases: { query: true }, windowTokens: windowOf(raw) });
}

/** Qwen3, dense (Qwen Team 2025): Llama that norms the heads of queries and keys. */
export function decodeQwen3(json: unknown): Decoder {
  const raw = parseKeys(schema3, json);
  const biased = raw.attention_bias;
  return llamaLike(raw, {
    biases: { query: biased, output: biased },
    normsHeads: true,
    windowTokens: windowOf(raw),
  });
}

function windowOf(raw: z.infer<typeof schema2>): (layer: number) => number | null {
  if (!raw.use_sliding_window) return () => null;
  const isLocal = (layer: number) => isListedLocal(raw, layer) ?? layer >= raw.max_window_layers;
  return (layer) => (isLocal(layer) ? raw.sliding_window : null);
}
