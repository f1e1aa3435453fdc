/** Questions on the installed packages' documentation with four passages each, the one asked about among them. */
import { join } from "node:path";
import { readPackageDocuments } from "#cli/demo/documents";
import { deriveQuestions, type Passage } from "#cli/demo/questions";

export const modelFolder = "runtime/models/quote";

export type Prompted = { question: string; passages: string[] };

/** The same `count` prompts for the same seed and installation. */
export function promptedQuestions(count: number, seed: number): Prompted[] {
  const passages: Passage[] = readPackageDocuments(join(import.meta.dirname, "..", "node_modules")).flatMap(
    ({ contributor, documents }) =>
      documents.flatMap(({ source, chunks }) => chunks.map((text) => ({ source, text, contributor }))),
  );
  return deriveQuestions(passages, count, seed).map(({ text, passage }, index) => {
    const others = Array.from(
      { length: 3 },
      (_, turn) => passages[(index * 97 + turn * 31 + 7) % passages.length]!.text,
    );
    others.splice(index % 4, 0, passage.text);
    return { question: text, passages: others };
  });
}
