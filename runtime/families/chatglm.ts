import { z } from "zod";
import type { Decoder, Layer, Linear, Norm } from "#runtime/decoder/description";
import { checkHeads, contextOf, count, epsilon, parseKeys, positions, width } from "./config-keys.ts";

const schema = z.looseObject({
  padded_vocab_size: count(2_000_000),
  hidden_size: count(65_536),
  ffn_hidden_size: width,
  num_layers: count(512),
  num_attention_heads: count(1024),
  kv_channels: count(1024),
  multi_query_attention: z.boolean().default(false),
  multi_query_group_num: count(1024).default(1),
  layernorm_epsilon: epsilon,
  seq_length: positions,
  // ChatGLM2-32k divides positions by it, later ones multiply the base; the config does not say which it is.
  rope_ratio: z.literal(1).default(1),
  rmsnorm: z.literal(true).default(true),
  add_bias_linear: z.literal(false).default(false),
  add_qkv_bias: z.boolean().default(false),
  apply_residual_connection_post_layernorm: z.literal(false).default(false),
  post_layer_norm: z.literal(true).default(true),
  original_rope: z.literal(true).default(true),
});
type Keys = z.infer<typeof schema>;

/**
 * ChatGLM2 and 3 (GLM Team 2024): half of each head turned in neighbouring pairs, few key/value heads,
 * queries, keys and values in one matrix, gate and up in another. No longer in transformers: checked
 * against a PyTorch reference of our own (`fixtures/make-golden-families.py`).
 */
export function decodeChatGlm(json: unknown): Decoder {
  const raw = parseKeys(schema, json);
  checkHeads(raw.kv_channels, raw.num_attention_heads, keyValueHeads(raw));
  return {
    vocabularySize: raw.padded_vocab_size,
    hiddenSize: raw.hidden_size,
    contextTokensMax: contextOf(raw.seq_length),
    headCount: raw.num_attention_heads,
    keyValueHeadCount: keyValueHeads(raw),
    headSize: raw.kv_channels,
    embedding: { name: "transformer.embedding.word_embeddings", scale: 1, positions: null, norm: null },
    layers: Array.from({ length: raw.num_layers }, (_, layer) => layerOf(raw, layer)),
    norm: normOf(raw, "transformer.encoder.final_layernorm"),
    head: { name: "transformer.output_layer", cap: null },
    omittedPrefix: null,
    unusedTensors: ["rotary_pos_emb\\.inv_freq$"],
  };
}

function layerOf(raw: Keys, layer: number): Layer {
  const { hidden_size: hidden, ffn_hidden_size: wide, kv_channels: headSize } = raw;
  const prefix = `transformer.encoder.layers.${layer}`;
  const queryRows = raw.num_attention_heads * headSize;
  const linear = (part: string, inSize: number, outSize: number, hasBias = false): Linear => {
    return { name: `${prefix}.${part}`, inSize, outSize, hasBias, lies: "out-in" };
  };
  const rows = queryRows + 2 * keyValueHeads(raw) * headSize;
  const theta = 10_000;
  return {
    attention: {
      norm: normOf(raw, `${prefix}.input_layernorm`),
      input: {
        kind: "blocks",
        fused: linear("self_attention.query_key_value", hidden, rows, raw.add_qkv_bias),
      },
      queryNorm: null,
      keyNorm: null,
      position: {
        kind: "rope",
        theta,
        width: headSize / 2,
        pairs: "neighbours",
        scaling: { type: "default" },
      },
      windowTokens: null,
      scale: 1 / Math.sqrt(headSize),
      cap: null,
      output: linear("self_attention.dense", queryRows, hidden),
      outputNorm: null,
    },
    feedForward: {
      norm: normOf(raw, `${prefix}.post_attention_layernorm`),
      input: { kind: "fusedGate", fused: linear("mlp.dense_h_to_4h", hidden, 2 * wide) },
      activation: "silu",
      output: linear("mlp.dense_4h_to_h", wide, hidden),
      outputNorm: null,
    },
    wiring: "sequential",
  };
}

function keyValueHeads(raw: Keys): number {
  return raw.multi_query_attention ? raw.multi_query_group_num : raw.num_attention_heads;
}

function normOf(raw: Keys, name: string): Norm {
  return { kind: "rms", name, size: raw.hidden_size, epsilon: raw.layernorm_epsilon };
}
