import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { fixture } from "#runtime/fixtures/folders";
import { openModel, readTokenizer, renderAnswer, renderPrompt } from "#runtime/index";

const console = { log: (..._: unknown[]) => undefined };

it("runs the README's example as it is printed there", async () => {
  const folder = fixture("tied");

  const tokenizer = await readTokenizer(folder);
  await using model = await openModel(folder, { threads: 2 });

  const prompt = { passages: ["The sky is blue."], question: "What colour is the sky?" };
  const promptTokenIds = tokenizer.encode(renderPrompt(prompt));
  const { tokenIds } = await model.generate({
    promptTokenIds,
    tokensMax: 24,
    temperature: 0,
    seed: 1n,
    stopTokenIds: tokenizer.stopTokenIds,
    onToken: ({ index, tokenId }) => console.log(index, tokenId),
  });
  const answer = tokenizer.decode(tokenIds);

  const answerTokenIds = tokenizer.encode(renderAnswer(answer));
  const without = tokenizer.encode(renderPrompt({ ...prompt, passages: [] }));
  const [full = 0, empty = 0] = await model.logProb([
    { promptTokenIds, answerTokenIds },
    { promptTokenIds: without, answerTokenIds },
  ]);
  console.log(`the passage is worth ${full - empty} nats`);

  expect(tokenIds.length).toBeGreaterThan(0);
  expect(full - empty).not.toBe(0);
  const lines = (text: string) => text.split("\n").map((line) => line.trim());
  const printed =
    /```ts\n(.*?)```/s.exec(await readFile(join(import.meta.dirname, "README.md"), "utf8"))?.[1] ?? "";
  const source = lines(await readFile(import.meta.filename, "utf8")).join("\n");
  const [imports = "", ...body] = printed.trim().split("\n");
  expect(source).toContain(imports);
  expect(source).toContain(lines(body.join("\n").trim()).join("\n"));
});
