import { setTimeout as sleep } from "node:timers/promises";
import { BlockNotFoundError, type Hex } from "viem";
import type { Drizzle } from "#schema/database";
import { PipelineError } from "#schema/errors";
import { finalBlock } from "#schema/finality";
import type { Chain } from "./transactions.ts";

/** Sends what is missing for one goal, as `reach` does; nothing where all of it stands. */
type Step = () => Promise<unknown>;
type Block = { number: bigint; hash: Hex };

/** Times the steps are run anew before the chain counts as unable to keep anything. */
const lossesMax = 8;
/** Time the last step may take to become final, in ms, and between two looks. */
const finalMsMax = 300_000;
const lookMs = 250;

/**
 * What was sent to a chain that may lose blocks: a killed development chain comes back from its last saved state. The
 * block seen after a step vouches for every one before it; once the chain no longer has it, every step runs again
 * from the first, each sending only what is missing.
 */
export class Sent {
  readonly #chain: Chain;
  readonly #steps: Step[] = [];
  #seen: Block | undefined;

  constructor(chain: Chain) {
    this.#chain = chain;
  }

  /** Runs a step, and those before it again where the chain has lost blocks. @throws what the step throws. */
  async add(step: Step): Promise<void> {
    this.#steps.push(step);
    await this.#run(this.#steps.length - 1);
  }

  /**
   * Waits until everything sent is final, for the indexer behind `db` and the chain.
   * @throws NotFinalError; DeepReorgError.
   */
  async untilFinal(db: Drizzle): Promise<void> {
    const { client } = this.#chain;
    let final = 0n;
    for (const deadline = Date.now() + finalMsMax; Date.now() < deadline; await sleep(lookMs)) {
      if (this.#seen && !(await this.#stands(this.#seen))) await this.#run(0);
      try {
        final = (await finalBlock({ db, client }))?.blockNumber ?? 0n;
      } catch (error) {
        // Database or chain is being restarted: the deadline bounds the wait.
        if (error instanceof PipelineError && !error.retryable) throw error;
      }
      if (this.#seen && final >= this.#seen.number && (await this.#stands(this.#seen))) return;
    }
    throw new NotFinalError(this.#seen?.number ?? 0n, final);
  }

  async #run(from: number): Promise<void> {
    let first = from;
    for (let loss = 0; loss < lossesMax; loss++) {
      const before = first === 0 ? await this.#head() : this.#seen!;
      try {
        for (const step of this.#steps.slice(first)) await step();
        const after = await this.#head();
        if (await this.#stands(before)) {
          this.#seen = after;
          return;
        }
      } catch (error) {
        if (await this.#stands(before)) throw error;
      }
      first = 0;
    }
    throw new BlocksLostError();
  }

  async #head(): Promise<Block> {
    const { number, hash } = await this.#patiently(() => this.#chain.client.getBlock());
    return { number, hash };
  }

  async #stands({ number, hash }: Block): Promise<boolean> {
    return this.#patiently(async () => {
      try {
        return (await this.#chain.client.getBlock({ blockNumber: number })).hash === hash;
      } catch (error) {
        if (error instanceof BlockNotFoundError) return false;
        throw error;
      }
    });
  }

  /** A chain that does not answer is being restarted; it is asked again for as long as a step may take. */
  async #patiently<T>(ask: () => Promise<T>): Promise<T> {
    for (const deadline = Date.now() + finalMsMax; ; await sleep(lookMs)) {
      try {
        return await ask();
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    }
  }
}

export class NotFinalError extends PipelineError {
  override readonly name = "NotFinalError";
  constructor(blockNumber: bigint, final: bigint) {
    super(`block ${blockNumber} is not final within ${finalMsMax / 1_000} s. Final: block ${final}.`, {
      code: "not_final",
      retryable: true,
    });
  }
}

export class BlocksLostError extends PipelineError {
  override readonly name = "BlocksLostError";
  constructor() {
    super(`the chain lost blocks ${lossesMax} times while the same transactions were sent.`, {
      code: "blocks_lost",
      retryable: true,
    });
  }
}
