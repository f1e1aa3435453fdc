import type { Violation } from "./penalty.ts";
import { attenuationWad, type Evidence, evidenceOf, type ReputationEvent } from "./reputation.ts";
import { agreement, peerPrediction, type Vote } from "./validators.ts";

/** Public facts up to a block, as logs tell them; whoever has the chain has them. Accounts in lowercase. */
export type PublicFacts = {
  readonly contributions: readonly JudgedContribution[];
  /** Slashings that no rejected contribution explains: of a node or a model. Once for each transaction and scope. */
  readonly slashings: readonly { account: string; scope: string; block: bigint }[];
  /** Chunks that repeat an earlier registered one, by their contribution. */
  readonly copies: readonly { contributionId: bigint; chunkId: string }[];
  readonly gates: readonly GateVerdict[];
};

/** What the gate of an adapter said of a record it was trained on; `block` is that of its first use. */
export type GateVerdict = {
  readonly contributionId: bigint;
  readonly modelId: string;
  readonly chunkId: string;
  readonly passes: boolean;
  readonly block: bigint;
  /** Owners of the adapter and of the record's Datanet when the adapter was registered. */
  readonly modelOwner: string;
  readonly datanetOwner: string;
};

/** A contribution that was resolved, with its votes. `items` is what its contributor said: it counts up to `itemsCountedMax`. */
export type JudgedContribution = {
  readonly contributionId: bigint;
  readonly datanetId: bigint;
  readonly contributor: string;
  readonly items: number;
  readonly outcome: "accepted" | "rejected" | "lapsed";
  /** Mean of the votes' quality by stake, 0 to 10,000. */
  readonly qualityBps: number;
  readonly block: bigint;
  readonly votes: readonly { validator: string; support: boolean }[];
};

/** Most records of one contribution that count as evidence: one vote may not decide a reputation for good. */
export const itemsCountedMax = 100;

/** Reputation of all accounts as of one epoch. Made once, asked often. */
export type Reputations = {
  /** The lowest of that over all Datanets and of those in each of `datanetIds`. */
  readonly contributorWad: (account: string, datanetIds: readonly bigint[]) => bigint;
  /** A row for every account with evidence, in each Datanet and over all; in a fixed order. */
  readonly rows: () => ReputationRow[];
  readonly violations: readonly Violation[];
};

/** `datanetId` is 0 over all. `peerPrediction` of validators over all alone, null where too few votes are shared. */
export type ReputationRow = Evidence & {
  readonly account: string;
  readonly datanetId: bigint;
  readonly role: "contributor" | "validator";
  readonly attenuationWad: bigint;
  readonly peerPrediction: number | null;
};

/**
 * Reputations from public facts. `toBlocks` are the last blocks of the epochs so far, ascending: a fact belongs to the
 * first epoch that holds its block. Facts after the last one are not given.
 */
export function reputationsOf(facts: PublicFacts, toBlocks: readonly bigint[]): Reputations {
  const epochOf = (block: bigint) => toBlocks.findIndex((toBlock) => block <= toBlock) + 1;
  const epoch = toBlocks.length;
  const events = eventsOf(facts, epochOf);
  const byAccount = Map.groupBy(events, ({ account }) => account);
  const evidence = (account: string, datanetId: string | null) =>
    evidenceOf(byAccount.get(account) ?? [], account, datanetId, epoch);
  return {
    contributorWad: (account, datanetIds) =>
      [null, ...datanetIds.map(String)]
        .map((id) => attenuationWad(evidence(account, id)))
        .sort((a, b) => (a < b ? -1 : 1))[0]!,
    rows: () => [...contributorRows(byAccount, evidence), ...validatorRows(facts)],
    violations: violationsOf(facts, epochOf),
  };
}

function eventsOf(facts: PublicFacts, epochOf: (block: bigint) => number): ReputationEvent[] {
  const byId = new Map(facts.contributions.map((one) => [one.contributionId, one]));
  const judged = facts.contributions.flatMap((c): ReputationEvent[] => {
    if (c.outcome === "lapsed") return [];
    const count = Math.min(c.items, itemsCountedMax);
    const { qualityBps } = c;
    return [{ ...placeOf(c), epoch: epochOf(c.block), kind: c.outcome, count, qualityBps }];
  });
  const copied = facts.copies.flatMap(({ contributionId }): ReputationEvent[] => {
    const c = byId.get(contributionId);
    return c ? [{ ...placeOf(c), epoch: epochOf(c.block), kind: "duplicate", count: 1 }] : [];
  });
  const gated = heard(facts).flatMap(({ contributionId, passes, block }): ReputationEvent[] => {
    const c = byId.get(contributionId);
    const kind = passes ? "gate-passed" : "gate-failed";
    return c ? [{ ...placeOf(c), epoch: epochOf(block), kind, count: 1 }] : [];
  });
  const slashed = facts.slashings.map(
    ({ account, scope, block }): ReputationEvent => ({
      account,
      datanetId: scope,
      epoch: epochOf(block),
      kind: "slashed",
      count: 1,
    }),
  );
  return [...judged, ...copied, ...gated, ...slashed];
}

/**
 * Verdicts that speak of contributors. Anyone may register an adapter, and could train one under which others' records do
 * harm, or his own do good: so one counts only where its owner answers for the Datanet too. What an adapter pays is
 * gated all the same.
 */
function heard({ gates }: PublicFacts): GateVerdict[] {
  return gates.filter(({ modelOwner, datanetOwner }) => modelOwner === datanetOwner);
}

/** A copy and a failed gate are violations; a rejection is not: an honest contributor may misjudge a Datanet's bar. */
function violationsOf(facts: PublicFacts, epochOf: (block: bigint) => number): Violation[] {
  const byId = new Map(facts.contributions.map((one) => [one.contributionId, one]));
  const copied = facts.copies.flatMap(({ contributionId, chunkId }): Violation[] => {
    const c = byId.get(contributionId);
    return c ? [{ ...placeOf(c), epoch: epochOf(c.block), kind: "duplicate", evidenceId: chunkId }] : [];
  });
  const failed = heard(facts).flatMap(({ contributionId, modelId, chunkId, passes, block }): Violation[] => {
    const c = byId.get(contributionId);
    const evidenceId = `${modelId}:${chunkId}`;
    return c && !passes ? [{ ...placeOf(c), epoch: epochOf(block), kind: "gate-failed", evidenceId }] : [];
  });
  return [...copied, ...failed];
}

function placeOf({ contributor, datanetId }: JudgedContribution) {
  return { account: contributor, datanetId: String(datanetId) };
}

function contributorRows(
  byAccount: ReadonlyMap<string, readonly ReputationEvent[]>,
  evidence: (account: string, datanetId: string | null) => Evidence,
): ReputationRow[] {
  return [...byAccount].sort(byKey).flatMap(([account, events]) => {
    const datanetIds = [...new Set(events.map(({ datanetId }) => datanetId))].filter((id) =>
      /^\d+$/.test(id),
    );
    const places = [null, ...datanetIds.sort((a, b) => Number(a) - Number(b))];
    return places.map((datanetId) => {
      const found = evidence(account, datanetId);
      const row = { account, datanetId: BigInt(datanetId ?? 0), role: "contributor" as const };
      return { ...row, ...found, attenuationWad: attenuationWad(found), peerPrediction: null };
    });
  });
}

function validatorRows({ contributions }: PublicFacts): ReputationRow[] {
  const votes = contributions.flatMap(({ contributionId, datanetId, outcome, votes: cast }) =>
    cast.map(({ validator, support }) => ({
      datanetId,
      validator,
      contributionId: String(contributionId),
      isFor: support,
      isAccepted: outcome === "lapsed" ? null : outcome === "accepted",
    })),
  );
  return [...Map.groupBy(votes, ({ validator }) => validator)].sort(byKey).flatMap(([account, own]) => {
    const datanetIds = [...new Set(own.map(({ datanetId }) => datanetId))].sort((a, b) => (a < b ? -1 : 1));
    const row = (datanetId: bigint, of: readonly Vote[], peers: number | null): ReputationRow => {
      const found = agreement(of, account);
      const attenuation = attenuationWad(found);
      return {
        account,
        datanetId,
        role: "validator",
        ...found,
        attenuationWad: attenuation,
        peerPrediction: peers,
      };
    };
    return [
      row(0n, own, peerPrediction(votes, account)),
      ...datanetIds.map((id) =>
        row(
          id,
          own.filter(({ datanetId }) => datanetId === id),
          null,
        ),
      ),
    ];
  });
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
