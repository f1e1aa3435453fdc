import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { fixture } from "#runtime/fixtures/folders";
import { openSoftwareVulkan } from "#runtime/fixtures/software-vulkan";

const vulkan = await openSoftwareVulkan();
afterAll(() => vulkan?.[Symbol.asyncDispose]());

interface Trained {
  generations: { tokenIds: number[] }[];
  losses: number[];
  gradients: number[][];
}

/** What a process of its own learns on a device. */
function trained(device: string): Trained {
  const env = { ...process.env, ...(device === "cpu" ? {} : vulkan?.environment) };
  const script = join(import.meta.dirname, "./print-training.ts");
  return JSON.parse(
    execFileSync(process.execPath, [script, fixture("grouped"), device], {
      env,
      encoding: "utf8",
      maxBuffer: 2 ** 26,
    }),
  );
}

describe.skipIf(vulkan === null)("webgpu", () => {
  it("trains, takes gradients by example, and mixes adapters as the CPU does, to 1e-4", () => {
    const [gpu, cpu] = [trained("webgpu"), trained("cpu")];
    gpu.losses.forEach((loss, step) => {
      expect(Math.abs(loss / cpu.losses[step]! - 1), `loss ${step}`).toBeLessThan(1e-4);
    });
    expect(gpu.gradients).toHaveLength(6);
    gpu.gradients.forEach((found, index) => {
      const expected = cpu.gradients[index]!;
      const norm = Math.hypot(...expected);
      const error = Math.hypot(...found.map((value, at) => value - expected[at]!));
      expect(error / norm, `gradient ${index}`).toBeLessThan(1e-4);
    });
    const ids = ({ generations }: Trained) => generations.map(({ tokenIds }) => tokenIds);
    expect(ids(gpu)).toEqual(ids(cpu));
    // Two losses may have the same bits on both by chance; thousands of gradients have not.
    expect(gpu.gradients).not.toEqual(cpu.gradients);
  }, 900_000);
});
