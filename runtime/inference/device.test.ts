import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, it } from "vitest";
import { fixture } from "#runtime/fixtures/folders";
import { openSoftwareVulkan } from "#runtime/fixtures/software-vulkan";
import { openModel } from "#runtime/index";
import { takeDevice } from "./device.ts";

const print = join(import.meta.dirname, "./print-bits.ts");
const vulkan = await openSoftwareVulkan();
afterAll(() => vulkan?.[Symbol.asyncDispose]());

interface Printed {
  generations: { tokenIds: number[]; logProbs: number[] }[];
}

/** What a process of its own generates on a device; the software GPU is seen by that process alone. */
function generated(device: string, folder = fixture("grouped")): Printed {
  const env = { ...process.env, ...(device === "cpu" ? {} : vulkan?.environment) };
  return JSON.parse(
    execFileSync(process.execPath, [print, folder, "packed", "1", device], { env, encoding: "utf8" }),
  );
}

describe.skipIf(vulkan === null)("webgpu", () => {
  it("generates what the CPU generates, its log-probabilities to 1e-4", () => {
    const [gpu, cpu] = [generated("webgpu"), generated("cpu")];
    expect(gpu.generations.map(({ tokenIds }) => tokenIds)).toEqual(
      cpu.generations.map(({ tokenIds }) => tokenIds),
    );
    gpu.generations.forEach(({ logProbs }, row) => {
      logProbs.forEach((logProb, index) => {
        expect(Math.abs(logProb - (cpu.generations[row]?.logProbs[index] ?? 0))).toBeLessThan(1e-4);
      });
    });
    expect(gpu.generations).not.toEqual(cpu.generations);
  });
});

describe("a device", () => {
  it("that this machine lacks is refused with the remedy, and leaves the next model its place", async () => {
    for (const device of ["cuda", "webgpu", "cuda"] as const) {
      const opened = await openModel(fixture("tied"), { device }).catch((error: unknown) => error);
      if (!(opened instanceof Error)) {
        await (opened as Awaited<ReturnType<typeof openModel>>).close(); // This machine has the device.
        continue;
      }
      expect(opened).toMatchObject({ code: "device-unavailable", retryable: false });
      expect(opened.message).toMatch(/open the model on cpu/);
    }
  });

  it("is one model's at a time, on the main thread, with one worker", async () => {
    const giveBack = takeDevice("webgpu");
    await expect(openModel(fixture("tied"), { device: "webgpu" })).rejects.toMatchObject({
      code: "device-busy",
    });
    await expect(openModel(fixture("tied"), { device: "cuda" })).rejects.toMatchObject({ retryable: true });
    await (await openModel(fixture("tied"))).close();
    giveBack();
    takeDevice("webgpu")();
    await expect(openModel(fixture("tied"), { device: "webgpu", threads: 2 })).rejects.toMatchObject({
      field: "threads",
    });
    const source = `import("${join(import.meta.dirname, "device.ts")}").then(({ takeDevice }) => takeDevice("webgpu"));`;
    const worker = new Worker(source, { eval: true });
    const error = await new Promise<Error>((resolve) => worker.once("error", resolve));
    expect(error).toMatchObject({ code: "device-busy" });
  });

  it("other than the CPU scores nothing", () => {
    if (vulkan === null) return;
    const script = `
      import { openModel } from "#runtime/index";
      await using model = await openModel(process.argv[1], { device: "webgpu" });
      console.log(JSON.parse(model.profile().canonicalJson).provider);
      await model.logProb([{ promptTokenIds: [1], answerTokenIds: [2] }]).catch((error) => console.log(error.code));`;
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script, fixture("tied")], {
      env: { ...process.env, ...vulkan.environment },
      encoding: "utf8",
      cwd: import.meta.dirname,
    });
    expect(stdout.trim().split("\n")).toEqual(["webgpu", "device-inexact"]);
  });
});
