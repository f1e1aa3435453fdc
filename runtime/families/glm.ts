import { z } from "zod";
import type { Decoder } from "#runtime/decoder/description";
import { parseKeys, ropeOf } from "./config-keys.ts";
import { llamaKeys, llamaLike, type Traits } from "./llama.ts";

const schema = z.looseObject({
  ...llamaKeys,
  hidden_act: z.literal("silu").default("silu"),
  attention_bias: z.boolean().default(false),
  partial_rotary_factor: z.number().positive().max(1).default(0.5),
});

/** GLM-4 of 2024 (`glm`, GLM Team 2024): Llama with gate and up in one matrix, and half of each head turned in neighbouring pairs. */
export function decodeGlm(json: unknown): Decoder {
  const raw = parseKeys(schema, json);
  return llamaLike(raw, traitsOf(raw));
}

/** GLM-4 of 2025 (`glm4`): the same with norms on the results of both blocks. */
export function decodeGlm4(json: unknown): Decoder {
  const raw = parseKeys(schema, json);
  return llamaLike(raw, {
    ...traitsOf(raw),
    layerNorms: {
      attentionOutput: "post_self_attn_layernorm",
      wide: "post_attention_layernorm",
      wideOutput: "post_mlp_layernorm",
    },
  });
}

function traitsOf(raw: z.infer<typeof schema>): Traits {
  return {
    biases: { query: raw.attention_bias },
    fusesGate: true,
    rope: (headSize) => ropeOf(raw, headSize, { pairs: "neighbours", part: raw.partial_rotary_factor }),
  };
}
