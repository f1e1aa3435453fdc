import { z } from "zod";
import { type Adapter, AdapterError, isTarget, type LoraModule, rankMax } from "./adapter.ts";
import { decodePatterns, type ModulePatterns } from "./module-pattern.ts";

/** What adapter_config.json says, as far as it changes what is computed. */
export interface AdapterConfig {
  readonly baseModel: string | null;
  readonly rank: number;
  readonly alpha: number;
  readonly isRankStabilized: boolean;
  readonly isTransposed: boolean;
  /** Null where a regular expression or layer numbers choose the modules: then the tensors say which. */
  readonly targetModules: readonly string[] | null;
  readonly rankOf: (module: string) => number;
  readonly alphaOf: (module: string) => number;
}

/**
 * Keys that change nothing about the result of a finished LoRA adapter, whatever their value: notes, and what
 * matters to training alone. Source: LoraConfig of PEFT 0.21.
 */
const harmless = new Set([
  "auto_mapping",
  "ensure_weight_tying",
  "eva_config",
  "inference_mode",
  "layers_pattern",
  "lora_dropout",
  "megatron_core",
  "peft_version",
  "qalora_group_size",
  "revision",
  "runtime_config",
  "task_type",
]);

const rank = z.int().min(1).max(rankMax);
const alpha = z.number();
const names = z.array(z.string().min(1).max(256)).max(10_000);

/** The keys that are read. All others must be harmless or say nothing; see `refuseUnsupported`. */
const schema = z.looseObject({
  peft_type: z.literal("LORA"),
  base_model_name_or_path: z.string().max(4096).nullish(),
  r: rank,
  lora_alpha: alpha,
  use_rslora: z.boolean().nullish(),
  fan_in_fan_out: z.boolean().nullish(),
  bias: z.literal("none").nullish(),
  // Other initialisations change the base model as well: pissa, olora, corda, loftq, lora_ga.
  init_lora_weights: z.union([z.boolean(), z.enum(["gaussian", "eva", "orthogonal"])]).nullish(),
  target_modules: z.union([names, z.string().max(65_536)]),
  exclude_modules: z.union([names, z.string()]).nullish(),
  layers_to_transform: z.union([z.int(), z.array(z.int())]).nullish(),
  rank_pattern: z.record(z.string(), rank).nullish(),
  alpha_pattern: z.record(z.string(), alpha).nullish(),
});

/**
 * Read a parsed adapter_config.json as PEFT 0.21 writes it, or an earlier version.
 * @throws AdapterError `adapter-config-unsupported` naming the key that asks for something else than plain LoRA
 * (DoRA, biases, saved modules, …) or is malformed.
 */
export function decodeConfig(json: unknown): AdapterConfig {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw unsupported(String(issue?.path[0] ?? "config"), issue?.message ?? "not readable");
  }
  const raw = parsed.data;
  refuseUnsupported(raw);
  const ranks = patternsOf("rank_pattern", raw.rank_pattern);
  const alphas = patternsOf("alpha_pattern", raw.alpha_pattern);
  const isListed =
    Array.isArray(raw.target_modules) && isNothing(raw.exclude_modules) && isNothing(raw.layers_to_transform);
  return {
    baseModel: raw.base_model_name_or_path ?? null,
    rank: raw.r,
    alpha: raw.lora_alpha,
    isRankStabilized: raw.use_rslora ?? false,
    isTransposed: raw.fan_in_fan_out ?? false,
    targetModules: isListed ? (raw.target_modules as string[]) : null,
    rankOf: (module) => ranks.find(module) ?? raw.r,
    alphaOf: (module) => alphas.find(module) ?? raw.lora_alpha,
  };
}

/**
 * The adapter_config.json of an adapter, keys sorted. Ranks and alphas that differ from the adapter's own become
 * patterns of full names. Keys that PEFT fills in by itself are left out, so that older versions read it too.
 */
export function encodeConfig(adapter: Adapter): string {
  const differing = (pick: (module: LoraModule) => number, usual: number) =>
    Object.fromEntries(
      [...adapter.modules]
        .filter(([, module]) => pick(module) !== usual)
        .map(([name, module]) => [`^${name}`, pick(module)]),
    );
  const config = {
    alpha_pattern: differing((module) => module.alpha, adapter.alpha),
    base_model_name_or_path: adapter.baseModel,
    bias: "none",
    fan_in_fan_out: adapter.isTransposed,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: adapter.alpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: "LORA",
    r: adapter.rank,
    rank_pattern: differing((module) => module.rank, adapter.rank),
    target_modules: targetsOf(adapter),
    task_type: "CAUSAL_LM",
    use_rslora: adapter.isRankStabilized,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** The targets that match a module; one that matches none would make PEFT search the model in vain. */
function targetsOf({ targetModules, modules }: Adapter): string[] {
  const matched = targetModules.filter((target) =>
    [...modules.keys()].some((name) => isTarget([target], name)),
  );
  return [...new Set(matched)].toSorted();
}

/** A key this version does not know may change the result, unless it says nothing. */
function refuseUnsupported(raw: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(raw)) {
    if (Object.hasOwn(schema.shape, key) || harmless.has(key) || isNothing(value)) continue;
    throw unsupported(key, `${JSON.stringify(value).slice(0, 80)} is not supported`);
  }
}

/** Null, false, and objects and lists of nothing: how PEFT writes an option that is off. */
function isNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

function patternsOf(key: string, pattern: Record<string, number> | null | undefined): ModulePatterns {
  const decoded = decodePatterns(Object.entries(pattern ?? {}));
  if (!decoded.ok) throw unsupported(key, decoded.reason);
  return decoded.patterns;
}

function unsupported(key: string, reason: string): AdapterError {
  return new AdapterError("adapter-config-unsupported", `adapter_config.json: ${key}`, reason);
}
