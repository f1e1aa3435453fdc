import { ponder } from "ponder:registry";
import { staked } from "../ponder.schema.ts";

ponder.on("StakeVault:Staked", async ({ event, context }) => {
  const { account, amount } = event.args;
  await context.db.insert(staked).values({ id: event.id, account, amount, blockNumber: event.block.number });
});
