import { excerpt, ModelRuntimeError } from "#runtime/errors";
import { isObject } from "#runtime/request";

/**
 * The two factors that LoRA adds to one linear layer: y = W·x + scale · B·(A·x).
 * Both row-major float32, so `a[i * inSize + j]` is A[i][j]. Source: Hu et al. 2021, "LoRA", §4.1.
 */
export interface LoraModule {
  readonly rank: number;
  /** Numerator of the scale; see `scaleOf`. */
  readonly alpha: number;
  readonly inSize: number;
  readonly outSize: number;
  /** A, [rank, inSize]. */
  readonly a: Float32Array;
  /** B, [outSize, rank]. */
  readonly b: Float32Array;
}

/** A LoRA adapter in memory: plain data, what a PEFT folder holds. */
export interface Adapter {
  /** Name or path of the model it was trained on, as its author wrote it; null if the author did not. */
  readonly baseModel: string | null;
  /** Rank and alpha of modules that no pattern names. */
  readonly rank: number;
  readonly alpha: number;
  /** Scale by alpha / √rank instead of alpha / rank. Source: Kalajdzievski 2023, "rsLoRA". */
  readonly isRankStabilized: boolean;
  /** The base stores its matrices as [in, out], as GPT-2's Conv1D layers do. A and B are the same either way. */
  readonly isTransposed: boolean;
  /** Modules it applies to: full names (`model.layers.0.self_attn.q_proj`) or their ends (`q_proj`). */
  readonly targetModules: readonly string[];
  /** By full module name. Ranks and alphas that differ from the two above become PEFT's patterns when written. */
  readonly modules: ReadonlyMap<string, LoraModule>;
}

/** Largest rank of one module. Adapters that join many others reach thousands. */
export const rankMax = 65_536;

/** Most float32 bytes of one adapter's factors: they are held in memory. */
export const adapterBytesMax = 4 * 1024 ** 3;

const moduleName = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const moduleNameLengthMax = 256;

/** Factor on B·A·x for one module of an adapter. */
export function scaleOf(adapter: Pick<Adapter, "isRankStabilized">, { alpha, rank }: LoraModule): number {
  return alpha / (adapter.isRankStabilized ? Math.sqrt(rank) : rank);
}

/** Bytes of all factors in memory. */
export function bytesOf(adapter: Adapter): number {
  let bytes = 0;
  for (const { a, b } of adapter.modules.values()) bytes += a.byteLength + b.byteLength;
  return bytes;
}

/** Whether `targetModules` names this module, in full or by its end. As PEFT matches a list. */
export function isTarget(targetModules: readonly string[], name: string): boolean {
  return targetModules.some((target) => name === target || name.endsWith(`.${target}`));
}

/**
 * Check what an adapter made by anyone is: its fields, names, ranks, sizes, finite numbers.
 * @throws AdapterError naming the field or module at fault.
 */
export function checkAdapter(adapter: Adapter): void {
  const refuse = (key: string, reason: string): never => {
    throw new AdapterError("adapter-invalid", key, reason);
  };
  if (!isObject(adapter)) refuse("adapter", `it is ${excerpt(adapter)}`);
  const { modules, rank, alpha, targetModules } = adapter;
  if (!(modules instanceof Map)) refuse("modules", "a map of them is needed");
  if (modules.size === 0) refuse("modules", "there are none");
  if (!isRank(rank)) refuse("rank", `1 to ${rankMax}. Given: ${excerpt(rank)}`);
  if (!Number.isFinite(alpha)) refuse("alpha", `not a finite number. Given: ${excerpt(alpha)}`);
  if (!Array.isArray(targetModules)) refuse("targetModules", "a list of names is needed");
  for (const [name, module] of modules) checkModule(name, module);
  const bytes = bytesOf(adapter);
  if (bytes > adapterBytesMax) throw new AdapterTooLargeError(bytes);
  const stray = [...adapter.modules.keys()].find((name) => !isTarget(adapter.targetModules, name));
  if (stray !== undefined)
    throw new AdapterError("adapter-invalid", stray, "target_modules does not name it");
}

function isRank(rank: number): boolean {
  return Number.isInteger(rank) && rank >= 1 && rank <= rankMax;
}

function checkModule(name: string, module: LoraModule): void {
  const refuse = (reason: string): never => {
    throw new AdapterError("adapter-invalid", String(name), reason);
  };
  if (!isObject(module)) refuse(`it is ${excerpt(module)}`);
  const { rank, alpha, inSize, outSize, a, b } = module;
  if (typeof name !== "string" || name.length > moduleNameLengthMax || !moduleName.test(name))
    refuse("not a module's name");
  if (!isRank(rank)) refuse(`rank is 1 to ${rankMax}. Given: ${excerpt(rank)}`);
  if (!Number.isFinite(alpha)) refuse(`alpha is not a finite number. Given: ${excerpt(alpha)}`);
  if (!(a instanceof Float32Array && b instanceof Float32Array)) refuse("A and B are Float32Arrays");
  if (a.length !== rank * inSize) refuse(`A has ${a.length} numbers, [${rank},${inSize}] needs others`);
  if (b.length !== outSize * rank) refuse(`B has ${b.length} numbers, [${outSize},${rank}] needs others`);
  if (a.length === 0 || b.length === 0) refuse("a factor is empty");
  if (!a.every(Number.isFinite) || !b.every(Number.isFinite)) refuse("a factor is not finite");
}

/**
 * An adapter that must not be used. `key` is the configuration key, tensor or module at fault.
 * Codes: `adapter-config-unsupported`, `adapter-tensor-invalid`, `adapter-invalid`,
 * `adapter-too-large`, `adapter-mismatch`, `adapter-merge-invalid`, `adapter-exists`.
 */
export class AdapterError extends ModelRuntimeError {
  readonly key: string;

  constructor(code: string, key: string, reason: string, cause?: unknown) {
    super(code, `Adapter: ${key}: ${reason}.`, { cause });
    this.key = key;
  }
}

/** Factors of more bytes than one adapter may hold in memory. */
export class AdapterTooLargeError extends AdapterError {
  constructor(bytes: number) {
    const reason = `too large. Max: ${adapterBytesMax} bytes. Given: ${bytes} bytes`;
    super("adapter-too-large", "modules", reason);
  }
}
