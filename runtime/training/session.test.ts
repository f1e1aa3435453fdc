import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { relativeError } from "#runtime/fixtures/golden-family";
import { readAdapter } from "#runtime/index";
import { logitsOf } from "./fixtures/logits.ts";

const session = join(import.meta.dirname, "fixtures/session");

it("gives PEFT's logits under an adapter that 200 steps of this library trained on real text", async () => {
  const golden = JSON.parse(await readFile(join(session, "golden-session.json"), "utf8"));
  const adapter = await readAdapter(join(session, "adapter"));
  const logits = await logitsOf(join(import.meta.dirname, "../models/quote"), adapter, golden.tokenIds);
  expect(relativeError(logits, golden.logits)).toBeLessThan(1e-5);
});
