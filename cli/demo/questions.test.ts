import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readFolderDocuments, readPackageDocuments, type Submission } from "./documents.ts";
import { deriveQuestions, type Passage } from "./questions.ts";

const root = join(import.meta.dirname, "../..");
const eips = join(process.env.TRIBUTARY_SHARED ?? join(root, "../shared"), "datanets/eips");
if (!existsSync(eips)) console.warn(`SKIPPED: documents of a folder; ${eips} is absent.`);

function passagesOf(submissions: Submission[]): Passage[] {
  return submissions.flatMap(({ contributor, documents }) =>
    documents.flatMap(({ source, chunks }) => chunks.map((text) => ({ source, text, contributor }))),
  );
}

it("finds at least 100 documents of at least 20 contributors in the installed packages", () => {
  const submissions = readPackageDocuments(join(root, "node_modules"));
  const characters = passagesOf(submissions).reduce((sum, { text }) => sum + text.length, 0);
  expect(submissions.flatMap(({ documents }) => documents).length).toBeGreaterThanOrEqual(100);
  expect(new Set(submissions.map(({ contributor }) => contributor)).size).toBeGreaterThanOrEqual(20);
  expect(new Set(submissions.map(({ datanet }) => datanet))).toEqual(new Set(["libraries", "tools"]));
  expect(characters).toBeLessThan(400_000);
  expect(readPackageDocuments(join(root, "node_modules"))).toEqual(submissions);
});

it("asks about phrases that stand once in all passages, of many contributors, the same for the same seed", () => {
  const passages = passagesOf(readPackageDocuments(join(root, "node_modules")));
  const questions = deriveQuestions(passages, 32, 7);
  expect(questions).toHaveLength(32);
  expect(new Set(questions.map(({ passage }) => passage.contributor)).size).toBeGreaterThanOrEqual(20);
  for (const { phrase, passage, text } of questions) {
    expect(passages.filter((other) => ` ${other.text}`.includes(` ${phrase}`))).toEqual([passage]);
    expect(text).toBe(`What does ${passage.source} say about ${phrase}?`);
  }
  expect(deriveQuestions(passages, 32, 7)).toEqual(questions);
  expect(deriveQuestions(passages, 32, 8)).not.toEqual(questions);
});

it("asks no more questions than the passages hold", () => {
  const passage = { source: "a", contributor: "b", text: "Everything that shaped an answer is paid for it." };
  expect(deriveQuestions([passage], 5, 1)).toHaveLength(1);
  expect(deriveQuestions([], 5, 1)).toEqual([]);
});

it.runIf(existsSync(eips))("takes first authors from the front matter of a folder of documents", () => {
  const submissions = readFolderDocuments(eips);
  expect(submissions.map(({ contributor }) => contributor)).toContain("Vitalik Buterin");
  expect(deriveQuestions(passagesOf(submissions), 64, 7)).toHaveLength(64);
});
