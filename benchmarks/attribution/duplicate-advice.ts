/** What the token embeddings of the project's model say of copies, paraphrases and other facts. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { readPackageDocuments } from "#cli/demo/documents";
import { ClassIndex, jaccardMin } from "#engine/duplicates/classes";
import { type EmbeddingTable, embed, isSimilar, quantiseTable } from "#engine/duplicates/embedding";
import { fold, jaccard, shingles } from "#engine/duplicates/shingles";
import { drawFactTexts } from "#engine/faithfulness/facts";
import { readTokenizer } from "#runtime/index";
import { pcg32 } from "#runtime/inference/sampler";
import { decodeFloats } from "#runtime/weights/float-bytes";
import { read } from "#runtime/weights/safetensors";
import { readTensorBytes } from "#runtime/weights/tensor-bytes";

const model = "runtime/models/quote";

export const advice = { passages: 600, facts: 300 } as const;

export type Advice = {
  readonly recall: number;
  readonly precision: number;
  readonly paraphrases: number;
  readonly paraphrasesInClass: number;
  readonly otherFacts: number;
  readonly renumbered: number;
};

export async function measureAdvice(seeds: readonly bigint[]): Promise<Advice[]> {
  const table = await readTable();
  const tokenizer = await readTokenizer(model);
  const embedded = (text: string) => embed(table, tokenizer.encode(text));
  const isAdvised = (a: string, b: string) => isSimilar(embedded(a), embedded(b));
  const passages = readPackageDocuments(join(import.meta.dirname, "../../node_modules"))
    .flatMap(({ documents }) => documents.flatMap(({ chunks }) => chunks))
    .slice(0, advice.passages);
  return seeds.map((seed) => {
    const next = pcg32(seed);
    let [duplicates, claimed, right] = [0, 0, 0];
    passages.forEach((text, i) => {
      const words = text.split(" ");
      for (let edit = 0; edit < i % 8; edit++)
        words[next() % words.length] = passages[next() % passages.length]!.split(" ")[0]!;
      const copy = words.join(" ");
      const isDuplicate = jaccard(shingles(fold(copy)), shingles(fold(text))) >= jaccardMin;
      const isClaimed = isAdvised(copy, text);
      if (isDuplicate) duplicates++;
      if (isClaimed) claimed++;
      if (isDuplicate && isClaimed) right++;
    });
    const facts = Array.from({ length: advice.facts }, () => drawFactTexts(next));
    const share = (of: (fact: (typeof facts)[number]) => boolean) => facts.filter(of).length / facts.length;
    return {
      recall: right / duplicates,
      precision: right / claimed,
      paraphrases: share(({ told, retold }) => isAdvised(told, retold)),
      paraphrasesInClass: share(({ told, retold }) => isInClass(told, retold)),
      otherFacts: share(({ told, other }) => isAdvised(told, other)),
      renumbered: share(({ told, renumbered }) => isAdvised(told, renumbered)),
    };
  });
}

function isInClass(first: string, second: string): boolean {
  const index = new ClassIndex();
  index.add({ id: "first", text: first });
  return index.add({ id: "second", text: second }).classId === "first";
}

async function readTable(): Promise<EmbeddingTable> {
  const path = join(model, "model.safetensors");
  const entry = (await read(path)).get("model.embed_tokens.weight")!;
  const file = await open(path, "r");
  try {
    return quantiseTable(decodeFloats("F32", await readTensorBytes(file, path, entry)), entry.shape[1]!);
  } finally {
    await file.close();
  }
}
