import { z } from "zod";
import type { Decoder, Layer, Linear, Norm } from "#runtime/decoder/description";
import { timeBlockTokens } from "#runtime/time-block";
import { ModelConfigError } from "#runtime/weights/model-config";
import { contextOf, epsilon, headSizeOf, parseKeys, positions, sizes, width } from "./config-keys.ts";

const schema = z.looseObject({
  vocab_size: sizes.vocab_size,
  n_embd: sizes.hidden_size,
  n_layer: sizes.num_hidden_layers,
  n_head: sizes.num_attention_heads,
  n_positions: positions,
  n_inner: width.nullish(),
  layer_norm_epsilon: epsilon.default(1e-5),
  activation_function: z.literal("gelu_new").default("gelu_new"),
  scale_attn_weights: z.literal(true).default(true),
  scale_attn_by_inverse_layer_idx: z.literal(false).default(false),
  add_cross_attention: z.literal(false).default(false),
  tie_word_embeddings: z.literal(true).default(true),
});
type Keys = z.infer<typeof schema>;

/** GPT-2 (Radford et al. 2019): learned positions, LayerNorm, biases everywhere, matrices stored [in, out]. */
export function decodeGpt2(json: unknown): Decoder {
  const raw = parseKeys(schema, json);
  const contextTokensMax = contextOf(wholeBlocks(raw.n_positions));
  return {
    vocabularySize: raw.vocab_size,
    hiddenSize: raw.n_embd,
    contextTokensMax,
    headCount: raw.n_head,
    keyValueHeadCount: raw.n_head,
    headSize: headSizeOf(raw.n_embd, raw.n_head, "n_head"),
    embedding: {
      name: "transformer.wte",
      scale: 1,
      positions: { name: "transformer.wpe", rows: raw.n_positions },
      norm: null,
    },
    layers: Array.from({ length: raw.n_layer }, (_, layer) => layerOf(raw, layer)),
    norm: normOf(raw, "transformer.ln_f"),
    head: { name: "transformer.wte", cap: null },
    omittedPrefix: "transformer.",
    unusedTensors: ["^(transformer\\.)?h\\.\\d+\\.attn\\.(masked_)?bias$", "^lm_head\\.weight$"],
  };
}

/** Sequences are padded to whole blocks, and padding needs positions too. */
function wholeBlocks(rows: number): number {
  const tokens = Math.floor(rows / timeBlockTokens) * timeBlockTokens;
  if (tokens === 0) throw new ModelConfigError("n_positions", `at least ${timeBlockTokens}. Given: ${rows}`);
  return tokens;
}

function layerOf(raw: Keys, layer: number): Layer {
  const prefix = `transformer.h.${layer}`;
  const { n_embd: hidden, n_inner: wide } = raw;
  const linear = (part: string, inSize: number, outSize: number): Linear => {
    return { name: `${prefix}.${part}`, inSize, outSize, hasBias: true, lies: "in-out" };
  };
  return {
    attention: {
      norm: normOf(raw, `${prefix}.ln_1`),
      input: { kind: "blocks", fused: linear("attn.c_attn", hidden, 3 * hidden) },
      queryNorm: null,
      keyNorm: null,
      position: null,
      windowTokens: null,
      scale: 1 / Math.sqrt(hidden / raw.n_head),
      cap: null,
      output: linear("attn.c_proj", hidden, hidden),
      outputNorm: null,
    },
    feedForward: {
      norm: normOf(raw, `${prefix}.ln_2`),
      input: { kind: "plain", up: linear("mlp.c_fc", hidden, wide ?? 4 * hidden) },
      activation: "geluTanh",
      output: linear("mlp.c_proj", wide ?? 4 * hidden, hidden),
      outputNorm: null,
    },
    wiring: "sequential",
  };
}

function normOf(raw: Keys, name: string): Norm {
  return { kind: "layer", name, size: raw.n_embd, epsilon: raw.layer_norm_epsilon };
}
