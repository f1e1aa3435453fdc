import type { RecordGradients, RecordsTask } from "../adapter/record-gradients.ts";
import type { Pool } from "../pool.ts";
import { DeviceError, type GradientDevice } from "./device.ts";

/**
 * Gradients of records from the device, or from the pool where there is none. What the device refuses, or gives no number
 * for, is the adapter's own fault only where the CPU, by which all engines judge, does so too.
 * @throws DeviceError, of the machine; PoolTaskError, of the adapter.
 */
export async function askDevice(
  pool: Pick<Pool, "run">,
  device: Pick<GradientDevice, "name" | "gradients"> | null,
  task: RecordsTask,
): Promise<RecordGradients> {
  const onPool = async () => (await pool.run({ kind: "gradients", ...task })).gradients;
  if (device === null) return onPool();
  const found = await fromDevice(device, task);
  if (!(found instanceof DeviceError)) return found;
  const ours = await onPool();
  if (areNumbers(ours)) throw found;
  return ours;
}

/** An error where another try would end the same. */
async function fromDevice(
  device: Pick<GradientDevice, "name" | "gradients">,
  task: RecordsTask,
): Promise<RecordGradients | DeviceError> {
  try {
    const found = await device.gradients(task);
    if (areNumbers(found)) return found;
    const reason = "a sum of gradients is no number.";
    return new DeviceError(device.name, { ok: false, code: "not-finite", reason, retryable: false });
  } catch (error) {
    if (error instanceof DeviceError && !error.retryable) return error;
    throw error;
  }
}

function areNumbers(gradients: RecordGradients): boolean {
  return gradients.every((blocks) => blocks.every((values) => values.every(Number.isFinite)));
}
