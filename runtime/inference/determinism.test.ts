import { join } from "node:path";
import { expect, it } from "vitest";
import { randomModel, temporaryFolder } from "#runtime/fixtures/folders";
import { familyCases } from "#runtime/fixtures/golden-family";
import { adapterOf, bitsOf, expectSameBits, scoreSettings } from "#runtime/fixtures/printed-scores";
import { quantiseFolder } from "#runtime/weights/quantise-folder";

/** Sizes that are whole blocks of codes; the first has rows of an odd number of blocks. */
const sizes = { intermediate_size: 672, num_hidden_layers: 1 };

/** Each way in which weights are stored and held. */
const weights: Record<string, () => Promise<string>> = {
  float32: () => randomModel(sizes),
  float16: () => randomModel(sizes, "F16"),
  bfloat16: () => randomModel(sizes, "BF16"),
  "float32, heads of 256": () => randomModel(wideHeads),
  "8 bits": () => quantised(8),
  "4 bits": () => quantised(4),
};

/** As Gemma's: products over a head are longer than the pieces that kernels cut sums into. */
const wideHeads = { num_attention_heads: 4, num_key_value_heads: 1, head_dim: 256, num_hidden_layers: 1 };

async function quantised(bits: 4 | 8): Promise<string> {
  const folder = join(await temporaryFolder(), "quantised");
  const { matricesQuantised } = await quantiseFolder(await randomModel(sizes), folder, { bits });
  expect(matricesQuantised).toBe(7);
  return folder;
}

/** Every way of storing weights, every way of holding them that differs for it, and adapters with one of the two. */
const settings = [
  { stored: "float32", mode: "packed", isAdapted: false },
  { stored: "float32", mode: "mapped", isAdapted: true },
  { stored: "float32, heads of 256", mode: "packed", isAdapted: true },
  { stored: "float16", mode: "packed", isAdapted: false },
  { stored: "bfloat16", mode: "packed", isAdapted: true },
  { stored: "bfloat16", mode: "narrow", isAdapted: false },
  { stored: "8 bits", mode: "packed", isAdapted: true },
  { stored: "8 bits", mode: "mapped", isAdapted: false },
  { stored: "4 bits", mode: "packed", isAdapted: true },
  { stored: "4 bits", mode: "mapped", isAdapted: false },
];

it.each(settings)(
  "the same bits come from every process, 1 to 4 threads and batches of 1 to 8: $stored, $mode, adapters $isAdapted",
  async ({ stored, mode, isAdapted }) => {
    const folder = await weights[stored]!();
    const adapter = isAdapted ? [await adapterOf(folder)] : [];
    const [first = "", ...others] = bitsOf(folder, mode, "1,2,3,4", adapter);
    const { logProbs, generations } = JSON.parse(first);
    expect([logProbs.length, generations.length]).toEqual([8, 8]);
    expect(others).toEqual([first, first, first]);
    expect(bitsOf(folder, mode, "1", adapter)).toEqual([first]);
  },
);

/** Every third family, in turn; `determinism.slow.test.ts` has all settings for each of all. */
const familySettings = familyCases
  .filter((_, index) => index % 3 === 0)
  .map((name, index) => ({ name, ...scoreSettings[index % 3]! }));

it.each(familySettings)(
  "the same bits come with 1 and 4 threads and batches of 1 to 8 from $name: $mode, adapters $isAdapted",
  ({ name, ...setting }) => expectSameBits(name, setting),
);
