import { existsSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { PipelineError } from "#schema/errors";
import type { Log } from "./log.ts";
import { commandOf, type ProcessRecord } from "./processes.ts";
import type { Service } from "./supervisor.ts";

export type ChainOptions = {
  port: number;
  /** File of the saved state: blocks, transactions, logs and accounts. Historical states are not kept. */
  statePath: string;
  blockSeconds: number;
  /** Time between saves, in ms: what a killed chain loses, which the stages handle as a reorg. */
  saveMs: number;
};

/** Gas of one block: an OP chain's 60 million and room for a burst. */
const blockGasMax = 200_000_000;
/**
 * Blocks whose state anvil keeps, in memory: nobody reads one older than `finalized`. Without a limit it writes up to
 * 3,600 of them to `~/.foundry`, about 1 MB each, and a kill leaves them there.
 */
const statesMax = 16;
/** Time one JSON-RPC request may take, in ms. */
const requestMsMax = 20_000;
/** Dumps of one save until one meets no new block. */
const dumpsMax = 10;

/**
 * anvil in OP mode as a supervised process that mines when told to: see `produceBlocks`. anvil's own `--state-interval`
 * overwrites its file in place, so a kill in the middle of a save would leave neither the old state nor the new; we ask
 * for the state and rename it into place. `finalized` trails the head by two blocks.
 */
export function chainService(options: Pick<ChainOptions, "port" | "statePath">): Service {
  const { port, statePath } = options;
  const url = `http://127.0.0.1:${port}`;
  return {
    name: "chain",
    command: anvilBinary(),
    args: () => [
      ...[
        "--network",
        "optimism",
        "--host",
        "127.0.0.1",
        "--port",
        String(port),
        "--accounts",
        "1",
        "--quiet",
      ],
      ...["--no-mining", "--slots-in-an-epoch", "1", "--prune-history", String(statesMax)],
      ...["--order", "fifo", "--gas-limit", String(blockGasMax)],
      ...(existsSync(statePath) ? ["--load-state", statePath] : []),
    ],
    env: {},
    beforeStop: () => saveChain(url, statePath),
    isReady: () => isChain(url),
  };
}

/**
 * Mines a block every `blockSeconds` and saves the state every `saveMs`, one after the other, until disposed. A chain
 * that is down is tried again at the next turn; whoever kills us stops the chain's time, so that it gets no further
 * ahead of its last save than `saveMs`.
 */
export function produceBlocks(options: ChainOptions, log: Log): AsyncDisposable {
  const stop = new AbortController();
  const ended = mineAndSave(options, log, stop.signal);
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await ended;
    },
  };
}

async function mineAndSave(
  { port, statePath, blockSeconds, saveMs }: ChainOptions,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const url = `http://127.0.0.1:${port}`;
  let trouble = "";
  for (let savedAt = Date.now(); !signal.aborted; ) {
    const startedAt = Date.now();
    try {
      await request(url, "evm_mine", []);
      if (startedAt - savedAt >= saveMs) {
        await saveChain(url, statePath);
        savedAt = Date.now();
      }
      trouble = "";
    } catch (error) {
      if (!(error instanceof PipelineError)) throw error;
      if (error.message !== trouble) log("chain", error.message);
      trouble = error.message;
    }
    const restMs = Math.max(0, startedAt + blockSeconds * 1_000 - Date.now());
    await sleep(restMs, undefined, { signal }).catch(() => undefined); // Aborted means stop: the loop sees it.
  }
}

/**
 * Saves the state of a running anvil, at once or not at all. anvil collects blocks, transactions and accounts one after
 * the other, so that a block mined meanwhile would be there in part: accounts changed by transactions that no block has.
 * Where somebody else than `produceBlocks` mined, the dump is thrown away and asked for again.
 * @throws ChainRequestError if it does not answer, ChainUnquietError if every dump met a block.
 */
export async function saveChain(url: string, statePath: string): Promise<void> {
  let before = await request<string>(url, "eth_blockNumber", []);
  for (let dumps = 0; dumps < dumpsMax; dumps++) {
    const state = await request<string>(url, "anvil_dumpState", []);
    const after = await request<string>(url, "eth_blockNumber", []);
    if (after === before) {
      writeFileSync(`${statePath}.new`, gunzipSync(Buffer.from(state.slice(2), "hex")));
      renameSync(`${statePath}.new`, statePath);
      return;
    }
    before = after;
  }
  throw new ChainUnquietError(url, dumpsMax);
}

/** Where a chain we started answers, from its command line. */
export function chainUrl({ pid }: ProcessRecord): string {
  return `http://127.0.0.1:${/--port (\d+)/.exec(commandOf(pid))?.[1]}`;
}

/** One JSON-RPC call. @throws ChainRequestError if there is no answer or it is an error. */
export async function request<T>(url: string, method: string, params: readonly unknown[]): Promise<T> {
  let body: { result?: T; error?: { message: string } };
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
      signal: AbortSignal.timeout(requestMsMax),
    });
    body = (await response.json()) as typeof body;
  } catch (cause) {
    throw new ChainRequestError(url, method, "no answer", cause);
  }
  if (body.error) throw new ChainRequestError(url, method, body.error.message);
  return body.result as T;
}

/** @returns Whether an Ethereum node answers at this address. */
export async function isChain(url: string): Promise<boolean> {
  try {
    return /^0x[0-9a-f]+$/.test(await request<string>(url, "eth_chainId", []));
  } catch (error) {
    if (error instanceof ChainRequestError) return false;
    throw error;
  }
}

/** Whether anvil runs there: only its accounts are worth nothing, and only it gives them gas. */
export async function isDevelopment(rpcUrl: string): Promise<boolean> {
  try {
    await request(rpcUrl, "anvil_nodeInfo", []);
    return true;
  } catch {
    // Another chain does not know the method, and none at all does not answer: either way there is no such payer.
    return false;
  }
}

/** The binary itself, not its npm wrapper, so that the pid we record is the chain's. */
function anvilBinary(): string {
  const arch = process.arch === "x64" ? "amd64" : process.arch;
  const platform = process.platform === "win32" ? "win32" : process.platform;
  const packageName = `@foundry-rs/anvil-${platform}-${arch}`;
  const from = createRequire(import.meta.url);
  try {
    return join(dirname(from.resolve(`${packageName}/package.json`)), "bin", "anvil");
  } catch (cause) {
    throw new ChainUnavailableError(packageName, cause);
  }
}

export class ChainRequestError extends PipelineError {
  override readonly name = "ChainRequestError";
  constructor(url: string, method: string, reason: string, cause?: unknown) {
    super(`${method} at ${url}: ${reason}.`, { code: "chain_request", retryable: true, cause });
  }
}

export class ChainUnquietError extends PipelineError {
  override readonly name = "ChainUnquietError";
  constructor(url: string, dumps: number) {
    super(`a block was mined during each of ${dumps} dumps of the state at ${url}; the last save stands.`, {
      code: "chain_unquiet",
      retryable: true,
    });
  }
}

export class ChainUnavailableError extends PipelineError {
  override readonly name = "ChainUnavailableError";
  constructor(packageName: string, cause: unknown) {
    super(`${packageName} is not installed. Run \`npm ci\`, or set RPC_URL to a node of yours.`, {
      code: "chain_unavailable",
      retryable: false,
      cause,
    });
  }
}
