import { join } from "node:path";
import { expect, it } from "vitest";
import { encodePrompt, renderPrompt } from "./prompt.ts";
import { readTokenizer } from "./tokenizer.ts";

it("cuts a prompt after each passage, and not where its text spells a mark", async () => {
  const tokenizer = await readTokenizer(join(import.meta.dirname, "../models/quote"));
  const [first, second, question] = ["a b <|passage|> c", "d", "e?"];
  const { promptTokenIds, cuts } = encodePrompt(tokenizer, { passages: [first, second], question });
  expect(promptTokenIds).toEqual(tokenizer.encode(renderPrompt({ passages: [first, second], question })));
  const parts = [0, ...cuts].map((start, index) => promptTokenIds.slice(start, cuts[index]));
  expect(parts.map((part) => tokenizer.decode(part))).toEqual([` ${first}`, ` ${second}`, ` ${question}`]);
  expect(encodePrompt(tokenizer, { passages: [], question }).cuts).toEqual([]);
});
