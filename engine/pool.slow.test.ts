import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";

const model = resolve(import.meta.dirname, "../runtime/fixtures/tied");
const script = resolve(import.meta.dirname, "testing/ask-pool.ts");
const dying = resolve(import.meta.dirname, "testing/dying-thread.ts");
const questions = "400";
/** Lives of the process: threads die three times, and ONNX Runtime takes the process along where one was in its midst. */
const livesMax = 4;

it("gives the same values where its threads die at work: it goes on or its process ends, and never waits", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tributary-deaths-"));
  try {
    const undisturbed = await run([], {});
    expect(undisturbed.code).toBe(0);
    let last: Awaited<ReturnType<typeof run>> | null = null;
    for (let life = 0; life < livesMax && last?.code !== 0; life++)
      last = await run(["--import", dying], { DEATHS_FOLDER: folder });
    expect((await readdir(folder)).filter((name) => name.startsWith("thread-")).length).toBeGreaterThan(0);
    expect(last?.code).toBe(0);
    expect(JSON.parse(last!.output).nats).toEqual(JSON.parse(undisturbed.output).nats);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 600_000);

/** The script as a process of its own, to its end. */
async function run(flags: readonly string[], env: Record<string, string>) {
  const child = spawn(process.execPath, [...flags, script, model, questions], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const closed = new Promise<number | null>((done) => child.once("close", done));
  const output = await text(child.stdout);
  return { code: await closed, output };
}
