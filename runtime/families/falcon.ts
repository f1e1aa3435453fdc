import { z } from "zod";
import type { Attention, Decoder, FeedForward, Layer, Linear, Norm } from "#runtime/decoder/description";
import {
  checkHeads,
  contextOf,
  count,
  epsilon,
  parseKeys,
  positions,
  ropeKeys,
  ropeOf,
  sizes,
  width,
} from "./config-keys.ts";

const schema = z.looseObject({
  ...sizes,
  ...ropeKeys,
  num_kv_heads: count(1024).nullish(),
  num_ln_in_parallel_attn: z.union([z.literal(1), z.literal(2)]).nullish(),
  layer_norm_epsilon: epsilon.default(1e-5),
  alibi: z
    .boolean()
    .nullish()
    .transform((given) => given ?? false),
  new_decoder_architecture: z.boolean().default(false),
  multi_query: z.boolean().default(true),
  parallel_attn: z.boolean().default(true),
  bias: z.boolean().default(false),
  max_position_embeddings: positions.default(2048),
  ffn_hidden_size: width.nullish(),
  activation: z.literal("gelu").default("gelu"),
  tie_word_embeddings: z.literal(true).default(true),
});
type Keys = z.infer<typeof schema>;

/**
 * Falcon (Almazrouei et al. 2023) in its three builds: 7B (one key/value head, both blocks in parallel),
 * 40B (`new_decoder_architecture`: groups, a norm for each block) and RW (sequential, ALiBi).
 */
export function decodeFalcon(json: unknown): Decoder {
  const raw = parseKeys(schema, json);
  const headCount = raw.num_attention_heads;
  const keyValueHeadCount = keyValueHeads(raw);
  const headSize = raw.hidden_size / headCount;
  checkHeads(headSize, headCount, keyValueHeadCount);
  return {
    vocabularySize: raw.vocab_size,
    hiddenSize: raw.hidden_size,
    contextTokensMax: contextOf(raw.max_position_embeddings),
    headCount,
    keyValueHeadCount,
    headSize,
    embedding: { name: "transformer.word_embeddings", scale: 1, positions: null, norm: null },
    layers: Array.from({ length: raw.num_hidden_layers }, (_, layer) => layerOf(raw, layer, headSize)),
    norm: normOf(raw, "transformer.ln_f"),
    head: { name: "transformer.word_embeddings", cap: null },
    omittedPrefix: "transformer.",
    unusedTensors: ["^lm_head\\.weight$", "rotary_emb\\.inv_freq$"],
  };
}

function layerOf(raw: Keys, layer: number, headSize: number): Layer {
  const prefix = `transformer.h.${layer}`;
  const isParallel = raw.new_decoder_architecture || raw.parallel_attn;
  const hasTwoNorms = raw.new_decoder_architecture && raw.num_ln_in_parallel_attn !== 1;
  const wideNorm = hasTwoNorms ? "ln_mlp" : isParallel ? null : "post_attention_layernorm";
  return {
    attention: attentionOf(raw, prefix, headSize, hasTwoNorms ? "ln_attn" : "input_layernorm"),
    feedForward: feedForwardOf(raw, prefix, wideNorm),
    wiring: isParallel ? "parallel" : "sequential",
  };
}

function attentionOf(raw: Keys, prefix: string, headSize: number, norm: string): Attention {
  const { hidden_size: hidden, bias: hasBias } = raw;
  const rows = (raw.num_attention_heads + 2 * keyValueHeads(raw)) * headSize;
  return {
    norm: normOf(raw, `${prefix}.${norm}`),
    input: {
      kind: raw.new_decoder_architecture || !raw.multi_query ? "groups" : "blocks",
      fused: linear(`${prefix}.self_attention.query_key_value`, hidden, rows, hasBias),
    },
    queryNorm: null,
    keyNorm: null,
    position: raw.alibi ? { kind: "alibi", rounding: "falcon" } : ropeOf(raw, headSize),
    windowTokens: null,
    scale: 1 / Math.sqrt(headSize),
    cap: null,
    output: linear(`${prefix}.self_attention.dense`, hidden, hidden, hasBias),
    outputNorm: null,
  };
}

function feedForwardOf(raw: Keys, prefix: string, norm: string | null): FeedForward {
  const { hidden_size: hidden, bias: hasBias } = raw;
  const wide = raw.ffn_hidden_size ?? 4 * hidden;
  return {
    norm: norm === null ? null : normOf(raw, `${prefix}.${norm}`),
    input: { kind: "plain", up: linear(`${prefix}.mlp.dense_h_to_4h`, hidden, wide, hasBias) },
    activation: "gelu",
    output: linear(`${prefix}.mlp.dense_4h_to_h`, wide, hidden, hasBias),
    outputNorm: null,
  };
}

function keyValueHeads(raw: Keys): number {
  if (raw.new_decoder_architecture) return raw.num_kv_heads ?? raw.num_attention_heads;
  return raw.multi_query ? 1 : raw.num_attention_heads;
}

function linear(name: string, inSize: number, outSize: number, hasBias: boolean): Linear {
  return { name, inSize, outSize, hasBias, lies: "out-in" };
}

function normOf(raw: Keys, name: string): Norm {
  return { kind: "layer", name, size: raw.hidden_size, epsilon: raw.layer_norm_epsilon };
}
