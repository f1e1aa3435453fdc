import { pcg32 } from "#runtime/inference/sampler";

/**
 * A made-up game like a question over retrieved passages: log-likelihood of facts, each told by 1 to `tellersMax`
 * passages that are taken in with some chance (noisy or), and a little pairwise interaction. Coalition → nats.
 */
export function factGame(players: number, tellersMax: number, seed: number): (mask: number) => number {
  const next = pcg32(BigInt(seed));
  const uniform = () => next() / 2 ** 32;
  const told = Array.from({ length: players }, () =>
    Array.from({ length: 1 + (next() % tellersMax) }, () => ({
      bit: 1 << (next() % players),
      chance: 0.5 + uniform() / 2,
    })),
  );
  const noise = Array.from({ length: players * players }, () => (uniform() - 0.5) * 0.04);
  return (mask) => {
    let total = 0;
    for (const tellers of told) {
      let missed = 1;
      for (const { bit, chance } of tellers) if (mask & bit) missed *= 1 - chance;
      total += Math.log(0.1 + 0.9 * (1 - missed));
    }
    for (let i = 0; i < players; i++) {
      if (!((mask >> i) & 1)) continue;
      for (let j = 0; j < i; j++) if ((mask >> j) & 1) total += noise[i * players + j]!;
    }
    return total;
  };
}
