import { z } from "zod";
import type { Decoder, Layer, Linear, Norm } from "#runtime/decoder/description";
import { contextOf, count, epsilon, headSizeOf, parseKeys, sizes } from "./config-keys.ts";

const schema = z.looseObject({
  vocab_size: sizes.vocab_size,
  hidden_size: sizes.hidden_size.nullish(),
  n_embed: sizes.hidden_size.nullish(),
  n_layer: sizes.num_hidden_layers.nullish(),
  num_hidden_layers: sizes.num_hidden_layers.nullish(),
  n_head: count(1024).nullish(),
  num_attention_heads: count(1024).nullish(),
  layer_norm_epsilon: epsilon.default(1e-5),
  apply_residual_connection_post_layernorm: z.literal(false).default(false),
  tie_word_embeddings: z.literal(true).default(true),
});

/** Positions have no table, so the declared context is only what the model was trained with. */
const trainedTokens = 2048;

/** BLOOM (BigScience 2022): ALiBi instead of positions, a norm on embeddings, query, key and value fused by head. */
export function decodeBloom(json: unknown): Decoder {
  const raw = parseKeys(schema, json);
  const hidden = parseKeys(sizes.hidden_size, raw.hidden_size ?? raw.n_embed);
  const heads = parseKeys(count(1024), raw.n_head ?? raw.num_attention_heads);
  const layerCount = parseKeys(sizes.num_hidden_layers, raw.n_layer ?? raw.num_hidden_layers);
  const norm = (name: string): Norm => {
    return { kind: "layer", name, size: hidden, epsilon: raw.layer_norm_epsilon };
  };
  return {
    vocabularySize: raw.vocab_size,
    hiddenSize: hidden,
    contextTokensMax: contextOf(trainedTokens),
    headCount: heads,
    keyValueHeadCount: heads,
    headSize: headSizeOf(hidden, heads, "n_head"),
    embedding: {
      name: "transformer.word_embeddings",
      scale: 1,
      positions: null,
      norm: norm("transformer.word_embeddings_layernorm"),
    },
    layers: Array.from({ length: layerCount }, (_, layer) => layerOf(hidden, heads, layer, norm)),
    norm: norm("transformer.ln_f"),
    head: { name: "transformer.word_embeddings", cap: null },
    omittedPrefix: "transformer.",
    unusedTensors: ["^lm_head\\.weight$"],
  };
}

function layerOf(hidden: number, heads: number, layer: number, norm: (name: string) => Norm): Layer {
  const prefix = `transformer.h.${layer}`;
  const linear = (part: string, inSize: number, outSize: number): Linear => {
    return { name: `${prefix}.${part}`, inSize, outSize, hasBias: true, lies: "out-in" };
  };
  return {
    attention: {
      norm: norm(`${prefix}.input_layernorm`),
      input: { kind: "groups", fused: linear("self_attention.query_key_value", hidden, 3 * hidden) },
      queryNorm: null,
      keyNorm: null,
      position: { kind: "alibi", rounding: "none" },
      windowTokens: null,
      scale: 1 / Math.sqrt(hidden / heads),
      cap: null,
      output: linear("self_attention.dense", hidden, hidden),
      outputNorm: null,
    },
    feedForward: {
      norm: norm(`${prefix}.post_attention_layernorm`),
      input: { kind: "plain", up: linear("mlp.dense_h_to_4h", hidden, 4 * hidden) },
      activation: "geluTanh",
      output: linear("mlp.dense_4h_to_h", 4 * hidden, hidden),
      outputNorm: null,
    },
    wiring: "sequential",
  };
}
