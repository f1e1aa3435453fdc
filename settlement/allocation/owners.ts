import type { Address, Hex } from "viem";
import { invariant } from "#schema/errors";
import type { Facts } from "./facts.ts";

/** Who owned something from a place in the log on. Places are texts that sort as the log does. */
export type Tenure = { from: string; owner: Address };

/** Tenures ascending by place, and where each batch was settled. */
export type Owners = {
  ofDatanet: ReadonlyMap<bigint, readonly Tenure[]>;
  ofModel: ReadonlyMap<Hex, readonly Tenure[]>;
  settledAt: ReadonlyMap<bigint, string>;
};

/**
 * The facts with the owners that Datanets and models had when a batch was settled: who sells one has what it earned
 * until then, and whoever replays the log finds the same.
 */
export function ownedAt(facts: Facts, owners: Owners, batchId: bigint): Facts {
  const place = owners.settledAt.get(batchId);
  invariant(place !== undefined, `batch ${batchId} has its place in the log`);
  return {
    ...facts,
    contributionOf: (chunkId) => {
      const found = facts.contributionOf(chunkId);
      return found && { ...found, datanetOwner: ownerAt(owners.ofDatanet.get(found.datanetId), place) };
    },
    modelOf: (modelId) => {
      const found = facts.modelOf(modelId);
      return found && { ...found, owner: ownerAt(owners.ofModel.get(modelId), place) };
    },
  };
}

/** Nothing is used before it exists, so someone owned it. */
function ownerAt(tenures: readonly Tenure[] | undefined, place: string): Address {
  const tenure = tenures?.findLast(({ from }) => from < place);
  invariant(tenure !== undefined, `an owner at ${place}`);
  return tenure.owner;
}
