import { ClassIndex, jaccardMin } from "#engine/duplicates/classes";
import { jaccard, shingles } from "#engine/duplicates/shingles";
import { meanInterval } from "#engine/faithfulness/correlation";
import { textMaker } from "#engine/testing/text-edits";
import { alone, type Benchmark, cpuMs, intervalText } from "../report.ts";
import { type Advice, advice, measureAdvice } from "./duplicate-advice.ts";

const originalCount = 3_000;
const words = 120;
const seeds = [1n, 2n, 3n];

export const benchmark: Benchmark = {
  name: "duplicates",
  title: "Near-duplicates found by classes of MinHash bands, and what embeddings would add",
  conditions: `${originalCount} made-up records of ${words} words and a copy of each with 0 to 7 words replaced; the truth is the Jaccard similarity of all shingles, at least ${jaccardMin}; CPU time. Embeddings: ${advice.passages} passages of installed packages' documentation with as many words replaced, and ${advice.facts} facts beside the same fact in another order of words, another fact of the same thing, and the fact with another number; worst of seeds ${seeds.join(", ")}, interval over them`,
  run: async () => {
    const found: Awaited<ReturnType<typeof measure>>[] = [];
    for (const seed of seeds) found.push(await measure(seed));
    const advised = await measureAdvice(seeds);
    const row = (work: string, unit: string, values: readonly number[], min: number) =>
      alone(`${work} ${intervalText(meanInterval(values))}, worst`, unit, Math.min(...values), { min });
    const of = (key: "recall" | "precision" | "perSecond") => found.map((one) => one[key]);
    const by = (key: keyof Advice) => advised.map((one) => one[key]);
    return [
      row("recall", "of duplicates", of("recall"), 0.95),
      row("precision", "of those found", of("precision"), 0.95),
      row("registered", "records/s", of("perSecond"), 500),
      row("embeddings: recall at that similarity", "of duplicates", by("recall"), 0),
      row("embeddings: precision at that similarity", "of those found", by("precision"), 0),
      row("classes: paraphrases found", "of them", by("paraphrasesInClass"), 0),
      row("embeddings: paraphrases found", "of them", by("paraphrases"), 0),
      row("embeddings: other facts of the same thing taken for it", "of them", by("otherFacts"), 0),
      row("embeddings: the fact with another number taken for it", "of them", by("renumbered"), 0),
    ];
  },
};

async function measure(seed: bigint) {
  const { prose, edit } = textMaker(seed);
  const originals = Array.from({ length: originalCount }, () => prose(words));
  const copies = originals.map((text, i) => edit(text, i % 8));
  const index = new ClassIndex();
  const classes: string[] = [];
  const ms = await cpuMs(() => {
    originals.forEach((text, i) => {
      index.add({ id: `original ${i}`, text: text.join(" ") });
    });
    for (const [i, copy] of copies.entries()) {
      classes.push(index.add({ id: `copy ${i}`, text: copy.join(" ") }).classId);
    }
  });
  let [duplicates, claimed, right] = [0, 0, 0];
  copies.forEach((copy, i) => {
    const similarity = jaccard(shingles(copy.join(" ")), shingles(originals[i]!.join(" ")));
    const isDuplicate = similarity >= jaccardMin;
    if (isDuplicate) duplicates++;
    if (classes[i] !== `copy ${i}`) claimed++;
    if (isDuplicate && classes[i] === `original ${i}`) right++;
  });
  return {
    recall: right / duplicates,
    precision: right / claimed,
    perSecond: (2 * originalCount * 1_000) / ms,
  };
}
