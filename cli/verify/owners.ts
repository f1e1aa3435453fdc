import type { Hex } from "viem";
import type { Owners, Tenure } from "#settlement/allocation/owners";
import type { Sources } from "./sources.ts";

/** Who owned which Datanet and model from which place in the log on, and where each batch was settled. */
export async function ownersFromLogs(sources: Sources, toBlock: bigint): Promise<Owners> {
  const [created, sold, registered, passedOn, settled] = await Promise.all([
    sources.events("DatanetRegistry", "DatanetCreated", toBlock),
    sources.events("DatanetRegistry", "DatanetOwnershipTransferred", toBlock),
    sources.events("ModelRegistry", "ModelRegistered", toBlock),
    sources.events("ModelRegistry", "ModelOwnershipTransferred", toBlock),
    sources.events("SettlementHub", "BatchSettled", toBlock),
  ]);
  const datanets = [
    ...created.map((event) => ({ ...event, id: event.args.datanetId, owner: event.args.owner })),
    ...sold.map((event) => ({ ...event, id: event.args.datanetId, owner: event.args.to })),
  ];
  const models = [
    ...registered.map((event) => ({ ...event, id: event.args.modelId, owner: event.args.owner })),
    ...passedOn.map((event) => ({ ...event, id: event.args.modelId, owner: event.args.to })),
  ];
  return {
    ofDatanet: tenuresOf(datanets),
    ofModel: tenuresOf(models),
    settledAt: new Map(settled.map((event) => [event.args.batchId, placeOf(event)])),
  };
}

type Place = { blockNumber: bigint; logIndex: number };
type Owned<Id> = Place & { id: Id; owner: Hex };

function tenuresOf<Id>(events: readonly Owned<Id>[]): Map<Id, Tenure[]> {
  const tenures = events
    .map((event) => ({ id: event.id, from: placeOf(event), owner: event.owner.toLowerCase() as Hex }))
    .sort((a, b) => (a.from < b.from ? -1 : 1));
  return Map.groupBy(tenures, ({ id }) => id);
}

/** Sorts as the log does. */
function placeOf({ blockNumber, logIndex }: Place): string {
  return `${String(blockNumber).padStart(20, "0")} ${String(logIndex).padStart(10, "0")}`;
}
