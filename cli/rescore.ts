import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import pc from "picocolors";
import type { Hex } from "viem";
import type { Rescored } from "#engine/rescore";
import { PipelineError } from "#schema/errors";
import { hashFrom } from "./arguments.ts";
import { root } from "./config.ts";
import {
  type Comparison,
  compareScores,
  type Difference,
  microOf,
  type Published,
} from "./rescore/compare.ts";
import { readRunningConfig } from "./running.ts";
import { stageServices } from "./up/services.ts";
import { resolveStack, type Stack } from "./up/stack.ts";
import { pace } from "./up/up.ts";
import { checkEpoch, finalizedHeaders } from "./verify/epoch.ts";
import { openSources, placesOf } from "./verify/places.ts";

const help = `npm run tributary -- rescore <receipt digest> [options]
  Asks the model again and compares what comes out with the score that its epoch published: log p of the answer under the
  model alone, with its passages, with its adapter, with both, and the influence of every passage and training record. The
  published score is read from chain and DA; receipt, passages and adapter from the database of the system that is up.
  --exact   every coalition of up to ten passages, to see how near the drawn orders came; influences are then not judged
  --json    one line
  Exit code: 0 within the tolerance of the epoch's method, 1 beyond it, 2 cannot tell (and why): also where something is
  beyond it on another kind of processor, code or settings than the method names.`;

const options = {
  exact: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

/** @returns 0 within the tolerance, 1 beyond it, 2 on another method. @throws UsageError, RescoreError */
export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const digest = hashFrom(positionals[0], "the digest of a receipt (ask prints it)");
  const config = readRunningConfig();
  const stack = await resolveStack(config, config.folder, config.ports, {
    ...pace,
    blockSeconds: config.blockSeconds,
  });
  console.error("asking the model again …");
  const rescored = await scoreAgain(stack, digest, values.exact);
  const published = await readPublished(digest, BigInt(rescored.batchId));
  const comparison = compareScores(published, rescored, values.exact);
  if (values.json)
    console.log(
      JSON.stringify({ receipt: digest, ...comparison }, (_, value) =>
        typeof value === "bigint" ? String(value) : value,
      ),
    );
  else print(comparison);
  return comparison.verdict === "within" ? 0 : comparison.verdict === "beyond" ? 1 : 2;
}

/** The engine's own code, as a process with the engine's settings. @throws RescoreError with what it says. */
async function scoreAgain(stack: Stack, digest: Hex, isExact: boolean): Promise<Rescored> {
  const engine = stageServices(stack).find(({ name }) => name === "engine")!;
  const args = [join(root, "engine/rescore.ts"), digest, ...(isExact ? ["--exact"] : [])];
  const child = spawn(engine.command, args, {
    env: engine.env,
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, reason, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit") as Promise<[number | null]>,
  ]);
  if (code !== 0) throw new RescoreError(reason.trim());
  return JSON.parse(out) as Rescored;
}

/** What the receipt's epoch says of it, by chain and DA. @throws RescoreError, BrokenLink, CannotCheck */
async function readPublished(digest: Hex, batchId: bigint): Promise<Published> {
  await using opened = await openSources(placesOf({}));
  const { sources, client } = opened;
  const head = await client.getBlockNumber();
  const settled = await sources.events("SettlementHub", "BatchSettled", head);
  const block = settled.find(({ args }) => args.batchId === batchId)?.blockNumber;
  const headers = await finalizedHeaders(sources, head);
  const header = headers.find(
    ({ fromBlock, toBlock }) => block !== undefined && fromBlock < block && block <= toBlock,
  );
  if (header === undefined)
    throw new RescoreError(`batch ${batchId}, which holds the receipt, is in no finalised epoch yet`);
  const { provenance: epoch } = await checkEpoch(sources, header, () => undefined);
  const score = epoch.receipts.find(({ receiptDigest }) => receiptDigest === digest);
  if (score === undefined) throw new RescoreError(`epoch ${epoch.epoch} left the receipt's batch out`);
  return { epoch, score };
}

function print({ epoch, isSameMethod, toleranceMicro, differences, verdict, notes }: Comparison): void {
  const [name, ...numbers] = ["micro-nats", "published", "recomputed", "difference"];
  const columns = numbers.map((text) => text.padStart(numberColumns)).join(" ");
  console.log(
    pc.dim(
      `epoch ${epoch}, tolerance ${toleranceMicro} micro-nats\n  ${name!.padEnd(nameColumns)} ${columns}`,
    ),
  );
  for (const one of differences) console.log(lineOf(one));
  for (const note of notes) console.log(pc.dim(note));
  if (verdict === "within")
    console.log(pc.green(`within the tolerance${isSameMethod ? ", by the epoch's own method" : ""}`));
  else if (verdict === "beyond") console.log(pc.red("beyond the tolerance: a ground for a dispute"));
  else console.log(pc.yellow("cannot tell: beyond the tolerance, but by another method than the epoch's"));
}

const nameColumns = 24;
const numberColumns = 14;

function lineOf({ name, publishedWad, rescoredWad, isWithin }: Difference): string {
  const number = (wad: bigint) => String(microOf(wad)).padStart(numberColumns);
  const mark = isWithin === null ? " " : isWithin ? pc.green("✓") : pc.red("✗");
  return `${mark} ${name.padEnd(nameColumns)} ${number(publishedWad)} ${number(rescoredWad)} ${number(rescoredWad - publishedWad)}`;
}

class RescoreError extends PipelineError {
  override readonly name = "RescoreError";
  constructor(reason: string) {
    super(`cannot tell: ${reason}`, { code: "rescore", retryable: false });
  }
}
