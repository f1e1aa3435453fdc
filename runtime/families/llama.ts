import { z } from "zod";
import type {
  Attention,
  Decoder,
  FeedForward,
  Layer,
  Linear,
  Norm,
  Rope,
} from "#runtime/decoder/description";
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

/** Keys of Llama's config.json that its kin share. */
export const llamaKeys = {
  ...sizes,
  ...ropeKeys,
  intermediate_size: width,
  num_key_value_heads: count(1024).optional(),
  head_dim: count(1024).nullish(),
  rms_norm_eps: epsilon,
  max_position_embeddings: positions,
  tie_word_embeddings: z.boolean().default(false),
};
export type LlamaKeys = z.infer<z.ZodObject<typeof llamaKeys>>;

/** What a relative of Llama does otherwise. Absent: as Llama. */
export interface Traits {
  readonly biases?: { readonly query?: boolean; readonly output?: boolean; readonly wide?: boolean };
  readonly norm?: Norm["kind"];
  /** Queries and keys are normed per head before they are turned. */
  readonly normsHeads?: boolean;
  /** Names, after the layer's, of norms on the results of both blocks and of the norm before the second. */
  readonly layerNorms?: {
    readonly attentionOutput: string;
    readonly wide: string;
    readonly wideOutput: string;
  };
  readonly fusesGate?: boolean;
  readonly activation?: FeedForward["activation"];
  readonly embeddingScale?: number;
  readonly scale?: number;
  readonly cap?: number | null;
  readonly logitCap?: number | null;
  readonly windowTokens?: (layer: number) => number | null;
  readonly rope?: (headSize: number, layer: number) => Rope;
}

const schema = z.looseObject({
  ...llamaKeys,
  hidden_act: z.literal("silu").default("silu"),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  pretraining_tp: z.literal(1).default(1),
});

/**
 * Llama 2 and 3 (Touvron et al. 2023): RMSNorm before each block, rotary positions, grouped-query
 * attention, SwiGLU. DeepSeek's dense models are Llamas, the Coder ones with linear scaling.
 */
export function decodeLlama(json: unknown): Decoder {
  const raw = parseKeys(schema, json);
  const biased = raw.attention_bias;
  return llamaLike(raw, { biases: { query: biased, output: biased, wide: raw.mlp_bias } });
}

/** A decoder with Llama's tensor names and the given differences. */
export function llamaLike(raw: LlamaKeys, traits: Traits = {}): Decoder {
  const headCount = raw.num_attention_heads;
  const keyValueHeadCount = raw.num_key_value_heads ?? headCount;
  const headSize = raw.head_dim ?? raw.hidden_size / headCount;
  checkHeads(headSize, headCount, keyValueHeadCount);
  const embedding = "model.embed_tokens";
  return {
    vocabularySize: raw.vocab_size,
    hiddenSize: raw.hidden_size,
    contextTokensMax: contextOf(raw.max_position_embeddings),
    headCount,
    keyValueHeadCount,
    headSize,
    embedding: { name: embedding, scale: traits.embeddingScale ?? 1, positions: null, norm: null },
    layers: Array.from({ length: raw.num_hidden_layers }, (_, layer) =>
      llamaLayer(raw, traits, layer, { headCount, keyValueHeadCount, headSize }),
    ),
    norm: { ...normOf(raw, traits), name: "model.norm" },
    head: { name: raw.tie_word_embeddings ? embedding : "lm_head", cap: traits.logitCap ?? null },
    omittedPrefix: null,
    unusedTensors: ["rotary_emb\\.inv_freq$", ...(raw.tie_word_embeddings ? ["^lm_head\\.weight$"] : [])],
  };
}

type Heads = Pick<Decoder, "headCount" | "keyValueHeadCount" | "headSize">;

function llamaLayer(raw: LlamaKeys, traits: Traits, layer: number, heads: Heads): Layer {
  return {
    attention: llamaAttention(raw, traits, layer, heads),
    feedForward: llamaFeedForward(raw, traits, `model.layers.${layer}`),
    wiring: "sequential",
  };
}

function llamaAttention(raw: LlamaKeys, traits: Traits, layer: number, heads: Heads): Attention {
  const { headCount, keyValueHeadCount, headSize } = heads;
  const prefix = `model.layers.${layer}`;
  const norm = normOf(raw, traits);
  const project = (part: string, count: number): Linear => ({
    name: `${prefix}.self_attn.${part}_proj`,
    inSize: raw.hidden_size,
    outSize: count * headSize,
    hasBias: traits.biases?.query ?? false,
    lies: "out-in",
  });
  const headNorm = (part: string): Norm | null =>
    traits.normsHeads ? { ...norm, name: `${prefix}.self_attn.${part}_norm`, size: headSize } : null;
  const after = traits.layerNorms?.attentionOutput;
  return {
    norm: { ...norm, name: `${prefix}.input_layernorm` },
    input: {
      kind: "three",
      query: project("q", headCount),
      key: project("k", keyValueHeadCount),
      value: project("v", keyValueHeadCount),
    },
    queryNorm: headNorm("q"),
    keyNorm: headNorm("k"),
    position: traits.rope?.(headSize, layer) ?? ropeOf(raw, headSize),
    windowTokens: traits.windowTokens?.(layer) ?? null,
    scale: traits.scale ?? 1 / Math.sqrt(headSize),
    cap: traits.cap ?? null,
    output: {
      ...project("o", headCount),
      inSize: headCount * headSize,
      outSize: raw.hidden_size,
      hasBias: traits.biases?.output ?? false,
    },
    outputNorm: after === undefined ? null : { ...norm, name: `${prefix}.${after}` },
  };
}

function llamaFeedForward(raw: LlamaKeys, traits: Traits, prefix: string): FeedForward {
  const { hidden_size: inSize, intermediate_size: outSize } = raw;
  const norm = normOf(raw, traits);
  const hasBias = traits.biases?.wide ?? false;
  const linear = (part: string): Linear => {
    return { name: `${prefix}.mlp.${part}_proj`, inSize, outSize, hasBias, lies: "out-in" };
  };
  const after = traits.layerNorms?.wideOutput;
  return {
    norm: { ...norm, name: `${prefix}.${traits.layerNorms?.wide ?? "post_attention_layernorm"}` },
    input: traits.fusesGate
      ? { kind: "fusedGate", fused: { ...linear("gate_up"), outSize: 2 * outSize } }
      : { kind: "gated", gate: linear("gate"), up: linear("up") },
    activation: traits.activation ?? "silu",
    output: { ...linear("down"), inSize: outSize, outSize: inSize },
    outputNorm: after === undefined ? null : { ...norm, name: `${prefix}.${after}` },
  };
}

function normOf(raw: LlamaKeys, traits: Traits): Norm {
  return { kind: traits.norm ?? "rms", name: "", size: raw.hidden_size, epsilon: raw.rms_norm_eps };
}
