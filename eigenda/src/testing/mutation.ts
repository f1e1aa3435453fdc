import { createHash } from "node:crypto";

/** The bytes once for each place of `places`, with that place changed by a mask that depends on place and seed. */
export function* mutations(bytes: Uint8Array, places: Iterable<number>, seed: number): Generator<Uint8Array> {
  for (const place of places) {
    const digest = createHash("sha256").update(`${seed} ${place}`).digest();
    const changed = Uint8Array.from(bytes);
    changed[place] = changed[place]! ^ (digest[0]! || 1);
    yield changed;
  }
}

/** 0, step, 2 · step, … below `end`. */
export function* every(step: number, end: number): Generator<number> {
  for (let place = 0; place < end; place += step) yield place;
}
