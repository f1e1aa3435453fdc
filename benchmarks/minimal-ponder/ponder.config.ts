import { createConfig } from "ponder";
import { stakeVaultAbi } from "../../schema/abi/stake-vault.ts";

/** Set by `10-index.ts`, which starts this app. */
const { DATABASE_URL, RPC_URL, CHAIN_ID, STAKE_VAULT, START_BLOCK } = process.env;

export default createConfig({
  database: { kind: "postgres", connectionString: DATABASE_URL!, poolConfig: { max: 16 } },
  chains: { main: { id: Number(CHAIN_ID), rpc: RPC_URL!, pollingInterval: 100 } },
  contracts: {
    StakeVault: {
      abi: stakeVaultAbi,
      chain: "main",
      address: STAKE_VAULT as `0x${string}`,
      startBlock: Number(START_BLOCK),
    },
  },
});
