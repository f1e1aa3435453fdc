import { z } from "zod";
import type { Rope, RopeScaling } from "#runtime/decoder/description";
import { excerpt } from "#runtime/errors";
import { ModelConfigError } from "#runtime/weights/model-config";

/** Longest context built into a graph, in tokens; a model that declares more is used up to this. */
const contextTokensLimit = 8192;

/** A count: a whole number from 1 to `max`. */
export const count = (max: number) => z.int().min(1).max(max);

/** Keys that every family has, under the name most use. */
export const sizes = {
  vocab_size: count(2_000_000),
  hidden_size: count(65_536),
  num_hidden_layers: count(512),
  num_attention_heads: count(1024),
};
export const width = count(1_048_576);
export const positions = count(100_000_000);
export const epsilon = z.number().positive().max(1);

export const ropeParameters = z.looseObject({
  rope_theta: z.number().positive().optional(),
  partial_rotary_factor: z.number().positive().max(1).optional(),
  rope_type: z.string().optional(),
  type: z.string().optional(),
});
export const ropeKeys = {
  rope_theta: z.number().positive().optional(),
  rope_scaling: ropeParameters.nullish(),
  rope_parameters: ropeParameters.nullish(),
};

const llama3Scaling = z.object({
  factor: z.number().positive(),
  low_freq_factor: z.number().positive(),
  high_freq_factor: z.number().positive(),
  original_max_position_embeddings: count(10_000_000),
});
const linearScaling = z.object({ factor: z.number().positive() });

/**
 * Read the keys of a config.json that change what is computed.
 * @throws ModelConfigError naming the first that is missing, malformed or not supported.
 */
export function parseKeys<Schema extends z.ZodType>(schema: Schema, json: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ModelConfigError(issue?.path.join(".") || "config", issue?.message ?? "not readable");
}

/** Whether each layer's queries see a window only, layer by layer. */
export const layerTypes = z.array(z.enum(["sliding_attention", "full_attention"])).nullish();
export type LayerTypes = { num_hidden_layers: number; layer_types?: z.infer<typeof layerTypes> };

/** Whether `layer_types` says that a layer is local; undefined where there is no list. @throws ModelConfigError */
export function isListedLocal(raw: LayerTypes, layer: number): boolean | undefined {
  if (!raw.layer_types) return undefined;
  const { length } = raw.layer_types;
  if (length !== raw.num_hidden_layers) {
    throw new ModelConfigError("layer_types", `${raw.num_hidden_layers} layers, but ${length} types`);
  }
  return raw.layer_types[layer] === "sliding_attention";
}

/** Size of a head where the config has none of its own. @throws ModelConfigError naming the key of the heads' number. */
export function headSizeOf(hiddenSize: number, headCount: number, key: string): number {
  if (hiddenSize % headCount === 0) return hiddenSize / headCount;
  throw new ModelConfigError(key, `must divide the hidden size ${hiddenSize}. Given: ${headCount}`);
}

/** What a graph is built for at most. */
export function contextOf(declaredTokens: number): number {
  return Math.min(declaredTokens, contextTokensLimit);
}

/**
 * Rotary positions from either spelling of their keys, over all of a head unless said otherwise.
 * @throws ModelConfigError for a scaling that is not supported or lacks its factors.
 */
export function ropeOf(
  raw: z.infer<z.ZodObject<typeof ropeKeys>>,
  headSize: number,
  traits: { theta?: number; pairs?: Rope["pairs"]; part?: number } = {},
): Rope {
  const parameters = raw.rope_parameters ?? raw.rope_scaling ?? {};
  const part = parameters.partial_rotary_factor ?? traits.part ?? 1;
  const rotated = Math.floor(headSize * part);
  if (rotated < 2 || rotated % 2 !== 0) {
    throw new ModelConfigError("partial_rotary_factor", `must turn an even part of a head. Given: ${part}`);
  }
  return {
    kind: "rope",
    theta: parameters.rope_theta ?? raw.rope_theta ?? traits.theta ?? 10_000,
    width: rotated,
    pairs: traits.pairs ?? "halves",
    scaling: scalingOf(parameters),
  };
}

/** Check that heads divide evenly. @throws ModelConfigError naming the key. */
export function checkHeads(headSize: number, headCount: number, keyValueHeadCount: number): void {
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

function scalingOf(parameters: z.infer<typeof ropeParameters>): RopeScaling {
  const type = parameters.rope_type ?? parameters.type ?? "default";
  if (type === "default") return { type };
  if (type === "linear") return { type, factor: scalingKeys(linearScaling, type, parameters).factor };
  if (type !== "llama3") {
    throw new ModelConfigError("rope_type", `${excerpt(type)} is not supported`);
  }
  const parsed = scalingKeys(llama3Scaling, type, parameters);
  return {
    type,
    factor: parsed.factor,
    lowFrequencyFactor: parsed.low_freq_factor,
    highFrequencyFactor: parsed.high_freq_factor,
    originalTokens: parsed.original_max_position_embeddings,
  };
}

function scalingKeys<Schema extends z.ZodType>(
  schema: Schema,
  type: string,
  given: unknown,
): z.infer<Schema> {
  const parsed = schema.safeParse(given);
  if (!parsed.success) throw new ModelConfigError("rope_scaling", `${type} scaling lacks its factors`);
  return parsed.data;
}
