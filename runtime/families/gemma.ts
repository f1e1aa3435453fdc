import { z } from "zod";
import type { Decoder, FeedForward } from "#runtime/decoder/description";
import { count, parseKeys, ropeOf, ropeParameters } from "./config-keys.ts";
import { llamaKeys, llamaLike, type Traits } from "./llama.ts";

const activation = z.enum(["gelu", "gelu_pytorch_tanh"]);
const keys = {
  ...llamaKeys,
  attention_bias: z.literal(false).default(false),
  tie_word_embeddings: z.literal(true).default(true),
  hidden_activation: activation.nullish(),
  hidden_act: activation.optional(),
};
const laterKeys = {
  ...keys,
  query_pre_attn_scalar: z.number().positive().default(256),
  sliding_window: count(100_000_000).default(4096),
  layer_types: z.array(z.enum(["sliding_attention", "full_attention"])).nullish(),
  sliding_window_pattern: count(512).optional(),
  use_bidirectional_attention: z.literal(false).nullish(),
};
const cap = z.number().positive().nullish();
const schema1 = z.looseObject(keys);
const schema2 = z.looseObject({
  ...laterKeys,
  attn_logit_softcapping: cap,
  final_logit_softcapping: cap,
});
const { rope_parameters: _, ...withoutRope } = schema2.shape;
const schema3 = z.looseObject({
  ...withoutRope,
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
    ...traitsOf(raw),
    layerNorms,
    scale: 1 / Math.sqrt(raw.query_pre_attn_scalar),
    cap: raw.attn_logit_softcapping ?? null,
    logitCap: raw.final_logit_softcapping ?? null,
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
      ...traitsOf(raw),
      layerNorms,
      normsHeads: true,
      scale: 1 / Math.sqrt(raw.query_pre_attn_scalar),
      cap: raw.attn_logit_softcapping ?? null,
      logitCap: raw.final_logit_softcapping ?? null,
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

function traitsOf(raw: z.infer<typeof schema1>): Traits {
  const name = raw.hidden_activation ?? raw.hidden_act ?? "gelu_pytorch_tanh";
  const activation: FeedForward["activation"] = name === "gelu" ? "gelu" : "geluTanh";
  return { norm: "rmsOffset", embeddingScale: Math.sqrt(raw.hidden_size), activation };
}

/** All but every nth layer are local, unless the layers are listed. */
function isLocal(
  raw: { layer_types?: string[] | null | undefined; sliding_window_pattern?: number | undefined },
  period: number,
  layer: number,
): boolean {
  if (raw.layer_types) return raw.layer_types[layer] === "sliding_attention";
  return (layer + 1) % (raw.sliding_window_pattern ?? period) !== 0;
}
