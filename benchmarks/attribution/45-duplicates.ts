import { ClassIndex, jaccardMin } from "#engine/duplicates/classes";
import { jaccard, shingles } from "#engine/duplicates/shingles";
import { textMaker } from "#engine/testing/text-edits";
import { alone, type Benchmark, cpuMs } from "../report.ts";

const originalCount = 3_000;
const words = 120;
const seeds = [1n, 2n, 3n];

export const benchmark: Benchmark = {
  name: "duplicates",
  title: "Near-duplicates found by classes of MinHash bands",
  conditions: `${originalCount} made-up records of ${words} words and a copy of each with 0 to 7 words replaced, seeds ${seeds.join(", ")}; the truth is the Jaccard similarity of all shingles, at least ${jaccardMin}; the worst seed, CPU time`,
  run: async () => {
    const found: Awaited<ReturnType<typeof measure>>[] = [];
    for (const seed of seeds) found.push(await measure(seed));
    const worst = (key: "recall" | "precision" | "perSecond") => Math.min(...found.map((one) => one[key]));
    return [
      alone("recall", "of duplicates", worst("recall"), { min: 0.95 }),
      alone("precision", "of those found", worst("precision"), { min: 0.95 }),
      alone("registered", "records/s", worst("perSecond"), { min: 500 }),
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
