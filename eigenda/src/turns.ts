import { EigenDaError } from "./errors.ts";

/** Lets so much work run at the same time and so much more wait, first come first served: back-pressure on callers. */
export class Turns {
  readonly #runningMax: number;
  readonly #waitingMax: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(limits: { runningMax: number; waitingMax: number }) {
    this.#runningMax = limits.runningMax;
    this.#waitingMax = limits.waitingMax;
  }

  /**
   * Runs `work` when it is its turn.
   * @throws EigenDaError failover if too many wait; the signal's reason if aborted while waiting; what `work` throws.
   */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#running < this.#runningMax) this.#running++;
    else await this.#turn(signal);
    try {
      // Who leaves between his turn and its work has not begun.
      signal?.throwIfAborted();
      return await work();
    } finally {
      const next = this.#waiting.shift();
      // Who is next takes the place over.
      if (next === undefined) this.#running--;
      else next();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.length >= this.#waitingMax)
      throw new EigenDaError(
        "failover",
        `Too many dispersals wait for their turn. Max: ${this.#waitingMax}, beside ${this.#runningMax} under way.`,
      );
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal?.reason);
      };
      const enter = () => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      this.#waiting.push(enter);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }
}
