import { usageOf } from "#settlement/allocation/usage";
import type { CheckedEpoch } from "./epoch.ts";
import { check, type Report } from "./link.ts";
import type { Sources } from "./sources.ts";

/**
 * What the chain records of the epoch's use of each Datanet, recomputed from the epoch's entries. `headBlock`: up to
 * where records are looked for; they come after the epoch is final, so some may be missing yet.
 */
export async function checkUsage(
  sources: Sources,
  { provenance }: CheckedEpoch,
  headBlock: bigint,
  report: Report,
): Promise<void> {
  const [submitted, recorded] = await Promise.all([
    sources.events("DatanetRegistry", "ContributionSubmitted", provenance.toBlock),
    sources.events("DatanetRegistry", "DatanetUsageRecorded", headBlock),
  ]);
  const datanetOf = new Map(submitted.map(({ args }) => [args.batchId, args.datanetId]));
  const usages = usageOf(provenance.epoch, provenance.receipts, (id) => datanetOf.get(id) ?? 0n);
  const ofEpoch = recorded.map(({ args }) => args).filter(({ epoch }) => epoch === provenance.epoch);
  const wrong = ofEpoch.find(({ datanetId, usageRoot, amount }) => {
    const ours = usages.find((usage) => usage.datanetId === datanetId);
    return ours?.usageRoot !== usageRoot || ours.amountWei !== amount;
  });
  const text = `${ofEpoch.length} of ${usages.length} Datanets' usage recorded, each recomputed`;
  const detail = wrong ? `epoch ${provenance.epoch}: another usage of Datanet ${wrong.datanetId}` : text;
  check(report, "usage", wrong?.usageRoot ?? null, wrong === undefined, detail);
}
