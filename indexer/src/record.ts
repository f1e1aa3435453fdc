import type { EventNames } from "ponder:registry";
import { event as eventTable } from "ponder:schema";
import { encodeArgs } from "../../schema/events.ts";
import type { Args } from "./handler.ts";

/** Appends the event to the log that consumers follow. Runs before the event is applied, in the same transaction. */
export async function recordEvent<N extends EventNames>(
  source: N,
  { event, context }: Args<N>,
): Promise<void> {
  const [contract, name] = source.split(":") as [string, string];
  await context.db.insert(eventTable).values({
    id: event.id,
    contract,
    name,
    args: encodeArgs(event.args),
    blockNumber: event.block.number,
    blockHash: event.block.hash,
    blockTimestamp: event.block.timestamp,
    txHash: event.transaction.hash,
    logIndex: event.log.logIndex,
    address: event.log.address,
  });
}
