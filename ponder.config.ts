import { createConfig } from "ponder";
import { config } from "./indexer/config.ts";
import { reorgAwareHttp } from "./indexer/transport.ts";
import { indexedAbis as abis } from "./schema/events.ts";

const { deployment, startBlock } = config;
const { contracts } = deployment;
const chain = "main";

/** What Ponder indexes. `indexer/ponder.config.ts` re-exports it, because Ponder's root is `indexer/`. */
export default createConfig({
  database: { kind: "postgres", connectionString: config.databaseUrl, poolConfig: { max: 16 } },
  chains: {
    main: {
      id: deployment.chainId,
      rpc: reorgAwareHttp(config.rpcUrl),
      pollingInterval: config.pollingIntervalMs,
    },
  },
  contracts: {
    StakeVault: { abi: abis.StakeVault, chain, address: contracts.stakeVault, startBlock },
    DatanetRegistry: { abi: abis.DatanetRegistry, chain, address: contracts.datanetRegistry, startBlock },
    ModelRegistry: { abi: abis.ModelRegistry, chain, address: contracts.modelRegistry, startBlock },
    ChannelEscrow: { abi: abis.ChannelEscrow, chain, address: contracts.channelEscrow, startBlock },
    SettlementHub: { abi: abis.SettlementHub, chain, address: contracts.settlementHub, startBlock },
    AttributionLedger: {
      abi: abis.AttributionLedger,
      chain,
      address: contracts.attributionLedger,
      startBlock,
    },
    RewardDistributor: {
      abi: abis.RewardDistributor,
      chain,
      address: contracts.rewardDistributor,
      startBlock,
    },
    // Not a contract. Ponder's build id covers this object but no source outside `indexer/src`; with the checksum in
    // it, changed code or schema is refused instead of resumed.
    BuildInputs: { abi: [], chain, startBlock: 0, endBlock: 0, checksum: config.sourceChecksum } as {
      abi: [];
      chain: typeof chain;
    },
  },
});
