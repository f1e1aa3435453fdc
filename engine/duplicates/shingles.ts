import { invariant } from "#schema/errors";

/** Words of one shingle. Five in a row are rarely written twice by chance. */
export const shingleWords = 5;

/**
 * A text folded so that what a reader would not see as a difference is none: NFKC, lower case, everything but letters and
 * digits a single space. Two texts with the same folded text are exact duplicates.
 */
export function fold(text: string): string {
  return text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();
}

/** Hashes of all runs of `shingleWords` words of a folded text, ascending, each once; a shorter text is one shingle. */
export function shingles(folded: string): Uint32Array {
  const words = folded === "" ? [] : folded.split(" ");
  if (words.length === 0) return new Uint32Array(0);
  const hashes = words.map(hashWord);
  const last = Math.max(words.length - shingleWords, 0);
  const found = new Set<number>();
  for (let start = 0; start <= last; start++) {
    let hash = 0;
    for (const word of hashes.slice(start, start + shingleWords)) hash = mix(Math.imul(hash, 31) + word);
    found.add(hash >>> 0);
  }
  return Uint32Array.from(found).sort();
}

/** |A ∩ B| ÷ |A ∪ B| of two ascending sets; two empty sets are the same: 1. */
export function jaccard(a: Uint32Array, b: Uint32Array): number {
  const common = intersectionSize(a, b);
  const union = a.length + b.length - common;
  return union === 0 ? 1 : common / union;
}

export function intersectionSize(a: Uint32Array, b: Uint32Array): number {
  let [i, j, common] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      common++;
      i++;
      j++;
    } else if (a[i]! < b[j]!) i++;
    else j++;
  }
  return common;
}

/** Bands and the rows of each: two texts meet with chance 1 − (1 − Jˢ)ᵇ, b bands of s: 0.9998 at J = 0.8, 0.03 at 0.2. */
export const bandCount = 21;
export const bandRows = 4;

/** MinHash signature: the least of each of bandCount · bandRows hashes over the set. Source: Broder 1997. */
export function signature(set: Uint32Array): Uint32Array {
  return Uint32Array.from({ length: bandCount * bandRows }, (_, index) => {
    const seed = Math.imul(index + 1, 0x9e3779b1);
    let least = 0xffffffff;
    for (let i = 0; i < set.length; i++) {
      const hash = mix(set[i]! ^ seed) >>> 0;
      if (hash < least) least = hash;
    }
    return least;
  });
}

/** Key of each band: texts that share one are compared. */
export function bandKeys(of: Uint32Array): string[] {
  invariant(of.length === bandCount * bandRows, "a whole signature");
  return Array.from({ length: bandCount }, (_, band) =>
    [band, ...of.subarray(band * bandRows, (band + 1) * bandRows)].join(":"),
  );
}

/** 32-bit FNV-1a of a word in UTF-16. */
function hashWord(word: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193);
  return hash;
}

/** MurmurHash3's finaliser: a bijection that moves every bit. */
function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
