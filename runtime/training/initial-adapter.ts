import { type Decoder, linearsOf } from "#runtime/decoder/description";
import { excerpt } from "#runtime/errors";
import { pcg32 } from "#runtime/inference/sampler";
import {
  type Adapter,
  AdapterError,
  AdapterTooLargeError,
  adapterBytesMax,
  isTarget,
  type LoraModule,
  rankMax,
} from "#runtime/lora/adapter";
import { readModelFolder } from "#runtime/weights/model-folder";

export interface AdapterSettings {
  readonly baseModel: string | null;
  readonly rank: number;
  readonly alpha: number;
  readonly isRankStabilized: boolean;
  /** Ends of module names (`q_proj`), or full names. */
  readonly targetModules: readonly string[];
  readonly seed: bigint;
}

/**
 * An adapter that changes nothing yet, as PEFT starts one: A uniform in ±1/√in, B zero.
 * A follows from the seed and the order of the model's matrices.
 * @throws AdapterError with code `adapter-mismatch` naming a target that the model lacks, `adapter-invalid` naming
 * another setting out of its range, `adapter-too-large`.
 */
export function initialAdapter(decoder: Decoder, settings: AdapterSettings): Adapter {
  checkSettings(settings);
  const { rank, alpha, targetModules } = settings;
  const linears = linearsOf(decoder).filter(({ name }) => isTarget(targetModules, name));
  const missing = targetModules.findIndex((target) => !linears.some(({ name }) => isTarget([target], name)));
  if (missing >= 0) {
    throw new AdapterError(
      "adapter-mismatch",
      String(targetModules[missing]),
      "the model has no such module",
    );
  }
  const bytes = linears.reduce((sum, { inSize, outSize }) => sum + 4 * rank * (inSize + outSize), 0);
  if (bytes > adapterBytesMax) throw new AdapterTooLargeError(bytes);
  const modules = linears.map(({ name, inSize, outSize }, index): [string, LoraModule] => {
    const next = pcg32(settings.seed, BigInt(index));
    const bound = 1 / Math.sqrt(inSize);
    const a = Float32Array.from({ length: rank * inSize }, () => ((next() / 2 ** 32) * 2 - 1) * bound);
    return [name, { rank, alpha, inSize, outSize, a, b: new Float32Array(outSize * rank) }];
  });
  return {
    baseModel: settings.baseModel,
    rank,
    alpha,
    isRankStabilized: settings.isRankStabilized,
    isTransposed: linears.some(({ lies }) => lies === "in-out"),
    targetModules,
    modules: new Map(modules),
  };
}

function checkSettings({ rank, alpha, targetModules, seed }: AdapterSettings): void {
  const check = (holds: boolean, field: string, allowed: string, given: unknown) => {
    if (holds) return;
    throw new AdapterError("adapter-invalid", field, `allowed is ${allowed}. Given: ${excerpt(given)}`);
  };
  const isRank = Number.isInteger(rank) && rank >= 1 && rank <= rankMax;
  check(isRank, "rank", `a whole number from 1 to ${rankMax}`, rank);
  check(Number.isFinite(alpha), "alpha", "a finite number", alpha);
  const isList = Array.isArray(targetModules) && targetModules.length >= 1;
  check(isList, "targetModules", "names of modules or their ends", targetModules);
  const isSeed = typeof seed === "bigint" && seed >= 0n && seed < 2n ** 64n;
  check(isSeed, "seed", "an unsigned 64-bit integer", seed);
}

/** The same for a model folder; not rank-stabilised and of no named base unless said. @throws as `readModelFolder` too. */
export async function createAdapter(
  folder: string,
  settings: Omit<AdapterSettings, "baseModel" | "isRankStabilized"> & Partial<AdapterSettings>,
): Promise<Adapter> {
  const { config } = await readModelFolder(folder);
  return initialAdapter(config, { baseModel: null, isRankStabilized: false, ...settings });
}
