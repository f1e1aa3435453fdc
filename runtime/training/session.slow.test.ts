import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { temporaryFolder } from "#runtime/fixtures/folders";
import { readAdapter } from "#runtime/index";

it("lowers the loss in 200 steps on real text, on text it has not seen too, and writes a PEFT folder", async () => {
  const folder = join(await temporaryFolder(), "session");
  const script = join(import.meta.dirname, "fixtures", "./train-session.ts");
  execFileSync(process.execPath, [script, folder]);
  const { losses, evaluations } = JSON.parse(await readFile(join(folder, "session.json"), "utf8"));
  expect(losses).toHaveLength(200);
  expect(losses.at(-1)).toBeLessThan(0.6 * losses[0]);
  expect(evaluations.at(-1).loss).toBeLessThan(evaluations[0].loss);
  expect((await readAdapter(join(folder, "adapter"))).modules.size).toBe(12);
});
