import { parseArgs } from "node:util";
import { type Hex, keccak256 } from "viem";
import { ClassIndex, type Membership, type Registered } from "#engine/duplicates/classes";
import { noveltyWad } from "#engine/duplicates/priority";
import { InvariantError } from "#schema/errors";
import * as contributions from "#settlement/blob/contribution";
import { UsageError } from "./arguments.ts";
import { AdviceError, type Adviser, openAdviser } from "./duplicates/advice.ts";
import { readRunningConfig } from "./running.ts";
import { BrokenLink, CannotCheck, WrongBytes } from "./verify/link.ts";
import { openSources, placeOptions, placesHelp, placesOf, reasonOf } from "./verify/places.ts";
import { type Event, retrievePayload, type Sources } from "./verify/sources.ts";

const help = `npm run tributary -- duplicates <contribution id> [options]
  What a contribution repeats of the records accepted before it, in all Datanets: for validators who have yet to vote.
  From the chain and DA alone, by the rules that pay: a copy of an earlier record earns nothing, and what else repeats
  earlier text earns by what is new in it. Of a pending one as of now: what is accepted before it counts as earlier too.
  Beside it advice, which decides no payment and not the exit code: records in the words of an earlier one, in another order
  or with another number in them, by the embeddings of a model. A copy that was reworded looks so, and so does another fact
  told by the same template: read both.
  --model <folder>      whose embeddings compare (MODEL_FOLDER); who has the same files is told the same
  --no-advice           leave that out
${placesHelp}
  --json                one JSON line: {contribution, isPending, records, skipped, advice}
  Exit code: 0 all of it is new, 1 something repeats, 2 cannot tell (and why).`;

const options = {
  ...placeOptions,
  model: { type: "string" },
  advice: { type: "boolean", default: true },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

/** `outcome` of ContributionResolved where it was accepted. */
const acceptedOutcome = 2;

/** A record of the contribution: where it repeats, the first record of its class; the part of its text that is its own. */
type Repeated = Pick<Membership, "kind"> & {
  index: number;
  source: string;
  chunkId: Hex;
  firstChunkId: Hex;
  /** Of that first record. */
  contributionId: string;
  noveltyWad: string;
};

export type Found = {
  contribution: string;
  isPending: boolean;
  records: Repeated[];
  /** Accepted contributions whose records could not be read: what they say is not compared. */
  skipped: { contribution: string; reason: string }[];
  /** Null where none was asked for; the reason where there is none. */
  advice: { artifactHash: Hex; similar: Similar[] } | { reason: string } | null;
};

/** A record that repeats no earlier one and is much like one. */
type Similar = {
  index: number;
  source: string;
  chunkId: Hex;
  otherChunkId: Hex;
  /** Of that other record. */
  contributionId: string;
  cosine: number;
};

/** @returns 0 all new, 1 something repeats, 2 cannot tell. @throws UsageError, CannotCheck */
export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true, allowNegative: true });
  if (values.help) {
    console.log(help);
    return 0;
  }
  if (!/^[1-9]\d{0,18}$/.test(positionals[0] ?? "")) throw new UsageError("Give the id of a contribution.");
  const places = placesOf(values);
  try {
    await using opened = await openSources(places);
    const modelFolder = values.model ?? readRunningConfig().modelFolder;
    await using adviser = values.advice ? openAdviser(modelFolder) : null;
    const toBlock = await opened.client.getBlockNumber();
    const onProgress = tellProgress();
    const found = await findDuplicates(opened.sources, BigInt(positionals[0]!), toBlock, {
      adviser,
      onProgress,
    });
    if (values.json) console.log(JSON.stringify(found));
    else for (const line of linesOf(found)) console.log(line);
    return found.records.every(isNew) ? 0 : 1;
  } catch (error) {
    if (error instanceof InvariantError) throw error;
    console.error(`cannot tell: ${reasonOf(error, places)}`);
    return 2;
  }
}

type Submission = Event<"DatanetRegistry", "ContributionSubmitted">["args"];

type Watching = {
  adviser: Adviser | null;
  /** Told of each contribution before that was compared. */
  onProgress: (done: number, total: number) => void;
};

/** Classes of a contribution's records over those accepted before it, in the order of the log. @throws CannotCheck */
export async function findDuplicates(
  sources: Sources,
  id: bigint,
  toBlock: bigint,
  { adviser, onProgress }: Watching,
): Promise<Found> {
  const submitted = await sources.events("DatanetRegistry", "ContributionSubmitted", toBlock);
  const resolved = await sources.events("DatanetRegistry", "ContributionResolved", toBlock);
  const byId = new Map(submitted.map(({ args }) => [args.batchId, args]));
  const submission = byId.get(id);
  if (submission === undefined) throw new CannotCheck(`contribution ${id} is not on chain`);
  const at = resolved.findIndex(({ args }) => args.batchId === id);
  const before = at < 0 ? resolved : resolved.slice(0, at);
  const accepted = before.filter(({ args }) => args.outcome === acceptedOutcome);
  const own = await readChunks(sources, submission);
  if (!own.ok) throw new CannotCheck(`contribution ${id}: ${own.reason}`);
  const ours = namedRecords(id, own.chunks);
  await adviser?.add(ours.map((record) => ({ ...record, isAsked: true })));
  const index = new ClassIndex();
  const contributionOf = new Map<string, bigint>();
  const skipped: Found["skipped"] = [];
  const add = (contributionId: bigint, records: readonly Registered[]) =>
    records.map((record) => {
      contributionOf.set(record.id, contributionId);
      return index.add(record);
    });
  for (const [done, { args }] of accepted.entries()) {
    const read = await readChunks(sources, byId.get(args.batchId)!);
    if (read.ok) {
      const records = namedRecords(args.batchId, read.chunks);
      add(args.batchId, records);
      await adviser?.add(records.map((record) => ({ ...record, isAsked: false })));
    } else skipped.push({ contribution: String(args.batchId), reason: read.reason });
    onProgress(done + 1, accepted.length);
  }
  const records = add(id, ours).map((member, at) => ({
    ...{ index: at, source: own.chunks[at]!.source, kind: member.kind },
    ...{ chunkId: member.id as Hex, firstChunkId: member.classId as Hex },
    ...{ contributionId: String(contributionOf.get(member.classId)), noveltyWad: String(noveltyWad(member)) },
  }));
  const advice = adviser && (await adviceOf(adviser, records, contributionOf));
  return { contribution: String(id), isPending: at < 0, records, skipped, advice };
}

/** Of records that are no copies: those earn nothing anyway. */
async function adviceOf(
  adviser: Adviser,
  records: readonly Repeated[],
  contributionOf: ReadonlyMap<string, bigint>,
): Promise<Found["advice"]> {
  try {
    const { artifactHash, likes } = await adviser.finish();
    const similar = records.flatMap(({ index, source, kind, chunkId }): Similar[] => {
      const like = likes[index];
      if (kind !== "first" || !like) return [];
      const [contributionId, otherChunkId] = [String(contributionOf.get(like.id)), like.id as Hex];
      return [{ index, source, chunkId, otherChunkId, contributionId, cosine: like.cosine }];
    });
    return { artifactHash, similar };
  } catch (error) {
    if (!(error instanceof AdviceError)) throw error;
    return { reason: error.message };
  }
}

function namedRecords(contributionBatchId: bigint, chunks: readonly contributions.Chunk[]): Registered[] {
  return chunks.map(({ text }, index) => {
    const textHash = contributions.textHash(text);
    return { id: contributions.chunkId({ contributionBatchId, index, textHash }), text };
  });
}

const progressMs = 5_000;

/** A line now and then, where it takes long. */
function tellProgress(): Watching["onProgress"] {
  let toldAt = Date.now();
  return (done, total) => {
    if (Date.now() - toldAt < progressMs) return;
    toldAt = Date.now();
    console.error(`compared with ${done} of ${total} contributions …`);
  };
}

type Read = { ok: true; chunks: readonly contributions.Chunk[] } | { ok: false; reason: string };

/** Records as the engine takes them; the reason where it refuses the payload, or nobody serves it. */
async function readChunks(sources: Sources, submission: Submission): Promise<Read> {
  const { daCommitment, contentHash } = submission;
  const verdict = await sources.checkCertificate(daCommitment);
  if (!verdict.ok) return verdict;
  try {
    const bytes = await retrievePayload(sources, daCommitment, "contribution blob");
    if (keccak256(bytes) !== contentHash) return { ok: false, reason: "its payload has another hash" };
    const decoded = contributions.decode(bytes);
    if (!decoded.ok) return decoded;
    const fault = contributions.fault(decoded.value, submission);
    return fault === null ? { ok: true, chunks: decoded.value.chunks } : { ok: false, reason: fault[1] };
  } catch (error) {
    const kinds = [BrokenLink, CannotCheck, WrongBytes];
    if (!kinds.some((kind) => error instanceof kind)) throw error;
    return { ok: false, reason: (error as Error).message };
  }
}

function isNew({ kind, noveltyWad: own }: Repeated): boolean {
  return kind === "first" && BigInt(own) === 10n ** 18n;
}

function linesOf({ contribution, isPending, records, skipped, advice }: Found): string[] {
  const repeated = records.filter((record) => !isNew(record));
  const state = isPending ? "pending" : "resolved";
  return [
    `contribution ${contribution} (${state}): ${records.length} records, ${repeated.length} repeat earlier ones`,
    ...repeated.map(({ index, source, kind, firstChunkId, contributionId, noveltyWad: own }) => {
      const share = 100 - Number((BigInt(own) * 100n) / 10n ** 18n);
      return kind === "first"
        ? `  ${index} ${source}: repeats earlier records in ${share} % of its text`
        : `  ${index} ${source}: ${kind === "exact" ? "the same" : "nearly the same"} as ${firstChunkId} of contribution ${contributionId}: earns nothing`;
    }),
    ...skipped.map(({ contribution: id, reason }) => `  not compared with contribution ${id}: ${reason}`),
    ...(advice === null ? [] : adviceLines(advice)),
  ];
}

function adviceLines(advice: NonNullable<Found["advice"]>): string[] {
  if ("reason" in advice) return [`no advice by embeddings: ${advice.reason}`];
  const { artifactHash, similar } = advice;
  return [
    `advice, which decides no payment: ${similar.length} records are in the words of an earlier one (model ${artifactHash})`,
    ...similar.map(
      ({ index, source, otherChunkId, contributionId, cosine }) =>
        `  ${index} ${source}: like ${otherChunkId} of contribution ${contributionId}, cosine ${cosine.toFixed(3)}`,
    ),
  ];
}
