import { rowsMaxDefault } from "#runtime/inference/batcher";
import { type Device, devices } from "#runtime/inference/device";
import { queueMaxDefault, threadsMax } from "#runtime/inference/pool";
import { type WeightMode, weightModes } from "#runtime/inference/session-options";
import { memoryBytes } from "#runtime/memory";
import { check, isObject } from "#runtime/request";

/** Largest `rowsMax`. */
const rowsLimit = 256;

/** Most bytes of factors of all loaded adapters, unless the caller sets another limit. */
const adaptersBytesMaxDefault = 4 * 1024 ** 3;

export interface OpenOptions {
  /** Worker threads, each with one core's work and, unless `mapped`, its own copy of the weights. Default 1. */
  readonly threads?: number;
  /** Most answers a worker generates together; their steps share one reading of the weights. Default `rowsMaxDefault`. */
  readonly rowsMax?: number;
  /** Tasks that may wait for a worker. Default `queueMaxDefault`. */
  readonly queueMax?: number;
  /** Where the weights are while the model is open. Default `packed`. Part of the execution profile. */
  readonly weightMode?: WeightMode;
  /** What computes. Default `cpu`. A GPU takes one thread, generates only, and is one model's at a time. */
  readonly device?: Device;
  /**
   * Ends of the names of matrices that adapters may change (`q_proj`), or full names. None by default: then no
   * adapter can be loaded, and the graphs are those of the base model alone. Part of the execution profile.
   */
  readonly adaptableModules?: readonly string[];
  /** Most bytes of factors of all loaded adapters; threads share them. Default 4 GiB. */
  readonly adaptersBytesMax?: number;
  /**
   * Most bytes of prompts that each worker keeps, so that a prompt that begins like an earlier one of the same
   * adapter starts where they part. 0, the default, keeps none. It speeds generation up and changes it by about
   * 1e-5, depending on what came before; log-probabilities never use it. Part of the execution profile.
   */
  readonly prefixBytesMax?: number;
  /**
   * Most bytes of keys and values that each worker holds for the answers and long sequences under way; a request
   * that needs more alone is refused. Default half of the process's memory, shared among the threads.
   */
  readonly cacheBytesMax?: number;
}

/** Fill in what is left out. @throws InvalidRequestError naming the option out of its range. */
export function checkOptions(options: OpenOptions): Required<OpenOptions> {
  check(isObject(options), "options", "an object", options);
  const checked = {
    threads: 1,
    queueMax: queueMaxDefault,
    rowsMax: rowsMaxDefault,
    weightMode: "packed",
    device: "cpu",
    adaptableModules: [],
    adaptersBytesMax: adaptersBytesMaxDefault,
    prefixBytesMax: 0,
    cacheBytesMax: Math.floor(memoryBytes() / 2 / (options.threads ?? 1)),
    ...options,
  } as const;
  const { threads, queueMax, rowsMax, weightMode, device, adaptersBytesMax, prefixBytesMax } = checked;
  const { cacheBytesMax } = checked;
  const isCount = (given: number, max: number) => Number.isSafeInteger(given) && given >= 1 && given <= max;
  check(devices.includes(device), "device", devices.join(" or "), device);
  const threadsAllowed = device === "cpu" ? threadsMax : 1;
  check(isCount(threads, threadsAllowed), "threads", `1 to ${threadsAllowed} on ${device}`, threads);
  check(isCount(queueMax, Number.MAX_SAFE_INTEGER), "queueMax", "a whole number from 1", queueMax);
  check(isCount(rowsMax, rowsLimit), "rowsMax", `1 to ${rowsLimit}`, rowsMax);
  check(weightModes.includes(weightMode), "weightMode", weightModes.join(" or "), weightMode);
  for (const [field, bytes] of Object.entries({ adaptersBytesMax, prefixBytesMax, cacheBytesMax })) {
    check(Number.isSafeInteger(bytes) && bytes >= 0, field, "a whole number from 0", bytes);
  }
  return checked;
}
