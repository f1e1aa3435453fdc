import { and, asc, eq, gt, inArray, lte, sql } from "drizzle-orm";
import type { Hex } from "viem";
import { onchain } from "#schema/bind";
import type { Drizzle, Transaction } from "#schema/database";
import { PipelineError } from "#schema/errors";
import { receipt, refusal } from "#schema/offchain/40-engine";
import { type Adopted, nothingAdopted } from "../adoption.ts";
import { isUnavailable, type Unavailable } from "../blob/provenance.ts";

type Reader = Drizzle | Transaction;

/**
 * What the engine judged that it could not have, of what an epoch rests on: contributions accepted in its blocks, and
 * trainings of models of which these batches hold receipts that could not be scored. Ascending by subject. What is adopted
 * stands in it with the poster's code.
 * @throws ContributionHeldError where a contribution is adopted of which the engine has the chunks: classes rest on it.
 */
export async function loadUnavailable(
  db: Reader,
  { fromBlock, toBlock }: { fromBlock: bigint; toBlock: bigint },
  batchIds: readonly bigint[],
  adopted: Adopted = nothingAdopted,
): Promise<Unavailable[]> {
  const { contribution } = onchain;
  const { subject, code } = refusal;
  const contributions = await db
    .select({ subject, code })
    .from(refusal)
    .innerJoin(contribution, eq(subject, sql`'contribution:' || ${contribution.id}`))
    .where(and(gt(contribution.resolvedBlock, fromBlock), lte(contribution.resolvedBlock, toBlock)));
  const trainings = await refusedTrainings(db, await unscoredModels(db, batchIds));
  const own = [...contributions, ...trainings].filter(isUnavailable);
  const refused = new Set(own.map((one) => one.subject));
  const held = adopted.unavailable.find(
    (one) => one.subject.startsWith("contribution:") && !refused.has(one.subject),
  );
  if (held !== undefined) throw new ContributionHeldError(toBlock, held);
  const codeOf = new Map([...own, ...adopted.unavailable].map((one) => [one.subject, one.code]));
  return [...codeOf]
    .map(([name, given]) => ({ subject: name, code: given }))
    .sort((a, b) => (a.subject < b.subject ? -1 : 1));
}

/** Models of receipts that the engine refused for want of the model. */
async function unscoredModels(db: Reader, batchIds: readonly bigint[]): Promise<Hex[]> {
  const rows = await db
    .selectDistinct({ modelId: receipt.modelId })
    .from(receipt)
    .innerJoin(refusal, eq(refusal.subject, sql`'receipt:' || ${receipt.digest}`))
    .where(and(inArray(receipt.batchId, [...batchIds]), eq(refusal.code, "model_unavailable")));
  return rows.map(({ modelId }) => modelId);
}

/** In the order of publication, the first last: of several refusals of one model its code counts. */
async function refusedTrainings(db: Reader, modelIds: readonly Hex[]): Promise<Unavailable[]> {
  const { subject, code, eventId } = refusal;
  const subjects = modelIds.map((modelId) => `training:${modelId}`);
  const rows = await db
    .select({ subject, code })
    .from(refusal)
    .where(inArray(subject, subjects))
    .orderBy(asc(eventId));
  return rows.reverse();
}

export class ContributionHeldError extends PipelineError {
  override readonly name = "ContributionHeldError";
  constructor(toBlock: bigint, { subject, code }: Unavailable) {
    super(
      `The epoch up to block ${toBlock} leaves out ${subject} (${code}), which this engine has read and built on. ` +
        "Dispute the epoch while its window is open; once it is final, build this database anew.",
      { code: "contribution_held", retryable: false },
    );
  }
}
