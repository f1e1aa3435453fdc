import { expect, it } from "vitest";
import { fixture } from "#runtime/fixtures/folders";
import type { RecordGradients } from "../adapter/record-gradients.ts";
import { describeMethod } from "../method.ts";
import { PoolTaskError } from "../pool.ts";
import { askDevice } from "./ask-device.ts";
import { relativeError } from "./assert-same-numbers.ts";
import { DeviceError, openGradientDevice } from "./device.ts";

const setup = { folder: fixture("tied"), adaptableModules: ["q_proj", "v_proj"] };
const task = { adapter: { hash: "0x", folder: "" }, records: [], tokensMax: 1, shape: null } as const;

it("is none where the CPU is chosen, and stands in the method where it is", () => {
  expect(openGradientDevice({ ...setup, device: "cpu" })).toBeNull();
  const choice = { estimator: "shapley", influenceMethod: "efim-dual", dualMax: 10_000 } as const;
  const [cpu, gpu] = [describeMethod("{}", choice), describeMethod("{}", { ...choice, device: "webgpu" })];
  expect(gpu.text).toContain("gradients of training records on webgpu");
  expect(gpu.hash).not.toBe(cpu.hash);
});

it.each(["cuda", "webgpu"] as const)(
  "named %s that this machine lacks is refused when it is looked for, with what to do",
  async (name) => {
    await using device = openGradientDevice({ ...setup, device: name });
    const refused = await device!.check().catch((error: unknown) => error);
    if (refused === undefined) return; // This machine has one.
    expect(refused).toMatchObject({ name: "DeviceError", code: "device-unavailable", retryable: false });
    expect(String(refused)).toMatch(new RegExp(`ENGINE_DEVICE ${name}: .*ENGINE_DEVICE=cpu`));
    await expect(device!.gradients(task)).rejects.toThrow(DeviceError);
  },
);

it("is ended where it does not answer in time, and told so", async () => {
  const log: string[] = [];
  await using device = openGradientDevice({
    ...({ ...setup, device: "webgpu", callMsMax: 1 } as const),
    log: { error: (message: string) => log.push(message) },
  });
  await expect(device!.check()).rejects.toMatchObject({ code: "device_lost", retryable: true });
  expect(device!.processId()).toBeNull();
  expect(log).toEqual(["the process of the device ended"]);
});

it("gives each build its turn, also after one that failed", async () => {
  await using device = openGradientDevice({ ...setup, device: "webgpu" });
  const seen: string[] = [];
  const build = (name: string) => async () => {
    seen.push(`${name} begins`);
    await new Promise((resolve) => setTimeout(resolve, 5));
    seen.push(`${name} ends`);
    if (name === "a") throw new TypeError(name);
    return name;
  };
  const [a, b] = await Promise.allSettled([device!.alone(build("a")), device!.alone(build("b"))]);
  expect([a.status, b]).toEqual(["rejected", { status: "fulfilled", value: "b" }]);
  expect(seen).toEqual(["a begins", "a ends", "b begins", "b ends"]);
});

it("is no reason to refuse an adapter: only what the CPU refuses too is the adapter's fault", async () => {
  const numbers = [[Float32Array.of(1, 2)]];
  const none = [[Float32Array.of(1, Number.POSITIVE_INFINITY)]];
  const failed = (retryable: boolean) =>
    new DeviceError("webgpu", { ok: false, code: "not-finite", reason: "no number.", retryable });
  const deviceThat = (found: RecordGradients | DeviceError) => ({
    name: "webgpu" as const,
    gradients: async () => {
      if (found instanceof DeviceError) throw found;
      return found;
    },
  });
  let asked = 0;
  const poolThat = (gradients: RecordGradients) => ({
    run: async () => {
      asked++;
      return { ok: true, kind: "gradients", gradients } as never;
    },
  });
  const unable = { run: () => Promise.reject(new PoolTaskError("not-finite", "no number", false)) };

  expect(await askDevice(poolThat(none), deviceThat(numbers), task)).toBe(numbers);
  await expect(askDevice(poolThat(numbers), deviceThat(failed(true)), task)).rejects.toThrow(DeviceError);
  expect(asked).toBe(0);
  for (const wrong of [failed(false), none]) {
    await expect(askDevice(poolThat(numbers), deviceThat(wrong), task)).rejects.toThrow(DeviceError);
    await expect(askDevice(unable, deviceThat(wrong), task)).rejects.toThrow(PoolTaskError);
    expect(await askDevice(poolThat(none), deviceThat(wrong), task)).toBe(none);
  }
  expect(asked).toBe(4);
  expect(await askDevice(poolThat(numbers), null, task)).toBe(numbers);
});

it("is judged by the largest of what gradient and loss are off", () => {
  const of = (loss: number, values: number[]) => ({
    loss,
    factors: new Map([["a", Float32Array.from(values)]]),
  });
  expect(relativeError(of(2, [3, 4]), of(2, [3, 4]))).toBe(0);
  expect(relativeError(of(2, [3, 4.5]), of(2, [3, 4]))).toBeCloseTo(0.1, 6);
  expect(relativeError(of(3, [3, 4]), of(2, [3, 4]))).toBeCloseTo(0.5, 6);
  expect(relativeError(of(2, [3, Number.NaN]), of(2, [3, 4]))).toBeNaN();
});
