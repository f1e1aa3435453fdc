import { isMainThread } from "node:worker_threads";
import { ModelRuntimeError } from "#runtime/errors";

/**
 * What computes. `cpu`: the default, and the only one whose bits are the same everywhere. `webgpu`: any GPU with
 * a Vulkan, Metal or Direct3D 12 driver, in the npm package. `cuda`: NVIDIA GPUs, where the provider's libraries
 * were installed beside the package.
 */
export type Device = (typeof devices)[number];

export const devices = ["cpu", "webgpu", "cuda"] as const;

/** Whether a GPU is taken in this process: a second thread on it crashes the process (onnxruntime issue 32561). */
let isGpuTaken = false;

/**
 * Take a device for a model's one worker; the result gives it back.
 * @throws DeviceBusyError if another model of this process has a GPU, or this is not the main thread.
 */
export function takeDevice(device: Device): () => void {
  if (device === "cpu") return () => undefined;
  if (isGpuTaken || !isMainThread) throw new DeviceBusyError(device);
  isGpuTaken = true;
  return () => {
    isGpuTaken = false;
  };
}

const remedies: Readonly<Record<Device, string>> = {
  cpu: "",
  webgpu: "It needs a GPU and its driver (on Linux libvulkan1 and an ICD)",
  cuda: "Its libraries are not in the npm package: install onnxruntime-node's CUDA 12 build with cuDNN 9 (see runtime/README.md)",
};

/** This machine has no such device, or lacks its driver or provider. */
export class DeviceUnavailableError extends ModelRuntimeError {
  constructor(device: Device, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(
      "device-unavailable",
      `Device ${device} cannot be used: ${reason.trim()}. ${remedies[device]}, or open the model on cpu.`,
      { cause },
    );
  }
}

/** One GPU model is open already, or was asked for by a thread that is not the main one. */
export class DeviceBusyError extends ModelRuntimeError {
  constructor(device: Device) {
    super(
      "device-busy",
      `Device ${device} is in use: one thread of a process may use a GPU. Close the other model, or open this in a process of its own.`,
      { retryable: true },
    );
  }
}

/** Scores must have the same bits everywhere, which no GPU promises. */
export class DeviceInexactError extends ModelRuntimeError {
  constructor(device: Device) {
    super("device-inexact", `Log-probabilities are not scored on ${device}. Open the model on cpu for them.`);
  }
}
