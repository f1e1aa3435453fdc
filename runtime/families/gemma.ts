import { z } from "zod";
import type { Decoder, FeedForward } from "#runtime/decoder/description";
import {
  count,
  isListedLocal,
  type LayerTypes,
  layerTypes,
  parseKeys,
  ropeOf,
  ropeParameters,
} from "./config-keys.ts";
import { llamaKeys, llamaLike, type Traits } from "./llama.ts";

const activations = ["gelu", "gelu_pytorch_tanh"] as const;
const keys = {
  ...llamaKeys,
  attention_bias: z.literal(false).default(false),
  tie_word_embeddings: z.literal(true).default(true),
};
const laterKeys = {
  ...keys,
  hidden_activation: z.enum(activations).default("gelu_pytorch_tanh"),
  query_pre_attn_scalar: z.number().positive().default(256),
  sliding_window: count(100_000_000).default(4096),
  layer_types: layerTypes,
  sliding_window_pattern: count(512).optional(),
  use_bidirectional_attention: z.literal(false).nullish(),
};
const cap = z.number().positive().nullable();
const schema1 = z.looseObject({
  ...keys,
  // The first releases say "gelu" and mean its tanh form; transformers reads them so.
  hidden_act: z.enum(activations).nullish(),
  hidden_activation: z.enum(activations).nullish(),
});
// Absent caps are not none: only null is.
const schema2 = z.looseObject({
  ...laterKeys,
  attn_logit_softcapping: cap.default(50),
  final_logit_softcapping: cap.default(30),
});
const { rope_parameters: _, ...withoutRope } = schema2.shape;
const schema3 = z.looseObject({
  ...withoutRope,
  attn_logit_softcapping: cap.default(null),
  final_logit_softcapping: cap.default(null),
  rope_local_base_freq: z.number().positive().default(10_000),
  rope_parameters: z
    .object({ full_attention: ropeParameters.nullish(), sliding_attention: ropeParameters.nullish() })
    .nullish(),
});

/** Gemma 1 (Gemma Team 2024a): Llama with norms counted from 1, scaled embeddings and GeGLU. */
export function decodeGemma(json: unknown): Decoder {
  const raw = parseKeys(schema1, json);
  return llamaLike(raw, traitsOf(raw));
}

/** Gemma 2 (Gemma Team 2024b): Gemma with norms on results too, bounded scores and logits, and windows in every other layer. */
export function decodeGemma2(json: unknown): Decoder {
  const raw = parseKeys(schema2, json);
  return llamaLike(raw, {
    ...traitsOf(raw, activationOf(raw)),
    layerNorms,
    scale: 1 / Math.sqrt(raw.query_pre_attn_scalar),
    cap: raw.attn_logit_softcapping,
    logitCap: raw.final_logit_softcapping,
    windowTokens: (layer) => (isLocal(raw, 2, layer) ? raw.sliding_window : null),
  });
}

/** Gemma 3, text (Gemma Team 2025): Gemma 2 with normed heads for caps, and local layers with positions of their own. */
export function decodeGemma3(json: unknown): Decoder {
  const raw = parseKeys(schema3, json);
  const { full_attention: far, sliding_attention: near } = raw.rope_parameters ?? {};
  const local = { rope_parameters: near ?? null, rope_theta: raw.rope_local_base_freq };
  const global = {
    rope_parameters: far ?? raw.rope_scaling ?? null,
    rope_theta: raw.rope_theta ?? 1_000_000,
  };
  return llamaLike(
    { ...raw, rope_parameters: null },
    {
      ...traitsOf(raw, activationOf(raw)),
      layerNorms,
      normsHeads: true,
      scale: 1 / Math.sqrt(raw.query_pre_attn_scalar),
      cap: raw.attn_logit_softcapping,
      logitCap: raw.final_logit_softcapping,
      windowTokens: (layer) => (isLocal(raw, 6, layer) ? raw.sliding_window : null),
      rope: (headSize, layer) => ropeOf(isLocal(raw, 6, layer) ? local : global, headSize),
    },
  );
}

const layerNorms = {
  attentionOutput: "post_attention_layernorm",
  wide: "pre_feedforward_layernorm",
  wideOutput: "post_feedforward_layernorm",
};

function traitsOf(
  { hidden_size }: { hidden_size: number },
  activation: FeedForward["activation"] = "geluTanh",
): Traits {
  return { norm: "rmsOffset", embeddingScale: Math.sqrt(hidden_size), activation };
}

function activationOf(raw: { hidden_activation: (typeof activations)[number] }): FeedForward["activation"] {
  return raw.hidden_activation === "gelu" ? "gelu" : "geluTanh";
}

/** All but every nth layer are local, unless the layers are listed. */
function isLocal(
  raw: LayerTypes & { sliding_window_pattern?: number | undefined },
  period: number,
  layer: number,
): boolean {
  return isListedLocal(raw, layer) ?? (layer + 1) % (raw.sliding_window_pattern ?? period) !== 0;
}
