import { pcg32 } from "#runtime/inference/sampler";

/** Made-up prose over a vocabulary whose words are as frequent as 1/rank, and edits of it. Seeded. */
export function textMaker(seed: bigint) {
  const next = pcg32(seed);
  const uniform = () => next() / 2 ** 32;
  const word = () => `w${Math.floor(3_000 ** uniform()).toString(36)}`;
  const prose = (words: number) => Array.from({ length: words }, word);
  /** Replace words, one after the other at random places, `count` times. */
  const edit = (text: readonly string[], count: number) => {
    const edited = [...text];
    for (let i = 0; i < count; i++) edited[Math.floor(uniform() * text.length)] = `x${next().toString(36)}`;
    return edited;
  };
  return { prose, edit, uniform };
}
