import { z } from "zod";
import { excerpt, ModelRuntimeError } from "#runtime/errors";

/** How rotary positions are stretched beyond the trained length; `default` means not at all. */
export type RopeScaling =
  | { readonly type: "default" }
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalTokens: number;
    };

/** What the graphs need to know of a Llama-family model. Counts unless a unit is named. */
export interface ModelConfig {
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  readonly keyValueHeadCount: number;
  readonly headSize: number;
  readonly rmsEpsilon: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  /** Longest sequence a graph accepts, in tokens. */
  readonly contextTokensMax: number;
  /** The output layer reuses the embedding matrix. */
  readonly tiesEmbeddings: boolean;
}

/** Longest context built into a graph, in tokens; a model that declares more is used up to this. */
const contextTokensLimit = 8192;

const positive = (max: number) => z.int().min(1).max(max);
const llama3Scaling = z.object({
  factor: z.number().positive(),
  low_freq_factor: z.number().positive(),
  high_freq_factor: z.number().positive(),
  original_max_position_embeddings: positive(10_000_000),
});
const ropeParameters = z.looseObject({
  rope_theta: z.number().positive().optional(),
  rope_type: z.string().optional(),
  type: z.string().optional(),
});

/** The keys of a published config.json that change what is computed; the rest is ignored. */
const schema = z.looseObject({
  model_type: z.literal("llama"),
  hidden_act: z.literal("silu").default("silu"),
  attention_bias: z.literal(false).default(false),
  mlp_bias: z.literal(false).default(false),
  pretraining_tp: z.literal(1).default(1),
  vocab_size: positive(2_000_000),
  hidden_size: positive(65_536),
  intermediate_size: positive(1_048_576),
  num_hidden_layers: positive(512),
  num_attention_heads: positive(1024),
  num_key_value_heads: positive(1024).optional(),
  head_dim: positive(1024).nullish(),
  rms_norm_eps: z.number().positive().max(1),
  max_position_embeddings: positive(100_000_000),
  tie_word_embeddings: z.boolean().default(false),
  rope_theta: z.number().positive().optional(),
  rope_scaling: ropeParameters.nullish(),
  rope_parameters: ropeParameters.nullish(),
});

/**
 * Read a published config.json.
 * @throws ModelConfigError naming the key that is missing, malformed or not supported.
 */
export function decodeConfig(json: unknown): ModelConfig {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ModelConfigError(issue?.path.join(".") || "config", issue?.message ?? "not readable");
  }
  const raw = parsed.data;
  const rope = raw.rope_parameters ?? raw.rope_scaling ?? {};
  const config: ModelConfig = {
    vocabularySize: raw.vocab_size,
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    layerCount: raw.num_hidden_layers,
    headCount: raw.num_attention_heads,
    keyValueHeadCount: raw.num_key_value_heads ?? raw.num_attention_heads,
    headSize: raw.head_dim ?? raw.hidden_size / raw.num_attention_heads,
    rmsEpsilon: raw.rms_norm_eps,
    ropeTheta: rope.rope_theta ?? raw.rope_theta ?? 10_000,
    ropeScaling: decodeScaling(rope),
    contextTokensMax: Math.min(raw.max_position_embeddings, contextTokensLimit),
    tiesEmbeddings: raw.tie_word_embeddings,
  };
  checkHeads(config);
  return config;
}

function decodeScaling(rope: z.infer<typeof ropeParameters>): RopeScaling {
  const type = rope.rope_type ?? rope.type ?? "default";
  if (type === "default") return { type };
  if (type !== "llama3") throw new ModelConfigError("rope_type", `${excerpt(type)} is not supported`);
  const parsed = llama3Scaling.safeParse(rope);
  if (!parsed.success) throw new ModelConfigError("rope_scaling", "llama3 scaling lacks its factors");
  return {
    type,
    factor: parsed.data.factor,
    lowFrequencyFactor: parsed.data.low_freq_factor,
    highFrequencyFactor: parsed.data.high_freq_factor,
    originalTokens: parsed.data.original_max_position_embeddings,
  };
}

function checkHeads(config: ModelConfig): void {
  const { headSize, headCount, keyValueHeadCount } = config;
  if (!Number.isInteger(headSize) || headSize % 2 !== 0) {
    throw new ModelConfigError("head_dim", `must be an even whole number. Given: ${headSize}`);
  }
  if (headCount % keyValueHeadCount !== 0) {
    throw new ModelConfigError(
      "num_key_value_heads",
      `must divide ${headCount} heads. Given: ${keyValueHeadCount}`,
    );
  }
}

/** A config.json this library cannot run. `key` is the entry at fault. */
export class ModelConfigError extends ModelRuntimeError {
  readonly key: string;

  constructor(key: string, reason: string) {
    super("model-config-unsupported", `config.json: ${key}: ${reason}.`);
    this.key = key;
  }
}
