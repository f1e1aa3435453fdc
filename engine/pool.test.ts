import { execFileSync } from "node:child_process";
import { cp, mkdtemp, rename, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { buildAdapterStore, type StoreJobParts } from "./adapter/build-store.ts";
import { ModelChangedError, openPool } from "./pool.ts";
import { poolSize } from "./pool-size.ts";

const model = resolve(import.meta.dirname, "../runtime/fixtures/tied");
const gib = 1024 ** 3;

it("takes a thread per core, as many as fit into memory, and at least one", () => {
  expect(poolSize({ cores: 4, memoryBytes: 64 * gib, modelBytes: gib / 64 })).toBe(4);
  expect(poolSize({ cores: 32, memoryBytes: 16 * gib, modelBytes: 2 * gib })).toBe(2);
  expect(poolSize({ cores: 8, memoryBytes: gib, modelBytes: 8 * gib })).toBe(1);
  expect(poolSize({ cores: 512, memoryBytes: 4096 * gib, modelBytes: 0 })).toBe(64);
});

it("refuses to go on when a file of the model is swapped under it, and minds no new time stamp", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tributary-model-"));
  try {
    await cp(model, folder, { recursive: true });
    await using pool = await openPool({ folder, workers: 1, adaptableModules: [] });
    await pool.assertSameFiles();
    await utimes(join(folder, "config.json"), 1, 1);
    await pool.assertSameFiles();
    await writeFile(join(folder, "swapped"), "not these weights");
    await rename(join(folder, "swapped"), join(folder, "model.safetensors"));
    await expect(pool.assertSameFiles()).rejects.toThrow(ModelChangedError);
    await expect(pool.assertSameFiles()).rejects.toMatchObject({ code: "model_changed", retryable: true });
    const { signal } = new AbortController();
    const task = { data: { eventId: "0", modelId: "0x" }, isLastTry: false, signal } as const;
    await expect(buildAdapterStore({ pool } as StoreJobParts, task)).rejects.toThrow(ModelChangedError);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

// In a process of its own: a thread that ends while it opens the model takes its process along.
it("closes as soon as it is open, with all of its threads", () => {
  const script = `
    import { openPool } from "./engine/pool.ts";
    for (let i = 0; i < 6; i++) {
      await using pool = await openPool({ folder: "runtime/models/quote", workers: 4, adaptableModules: ["q_proj"] });
    }
    console.log("closed");`;
  const args = ["--input-type=module-typescript", "--eval", script];
  const cwd = resolve(import.meta.dirname, "..");
  expect(execFileSync(process.execPath, args, { cwd, encoding: "utf8" })).toBe("closed\n");
}, 60_000);
