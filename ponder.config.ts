import { createConfig, factory } from "ponder";
import { type Address, getAbiItem } from "viem";
import { config } from "./indexer/config.ts";
import { reorgAwareHttp } from "./indexer/transport.ts";
import { indexedAbis as abis } from "./schema/events.ts";

const { deployment, startBlock } = config;
const { contracts } = deployment;
const chain = "main" as const;

/** The clones of each factory, found by its own events. */
const madeBy = {
  datanetDaoFactory: factory({
    address: contracts.datanetDaoFactory,
    event: getAbiItem({ abi: abis.DatanetDaoFactory, name: "DatanetDaoCreated" }),
    parameter: "dao",
  }),
  curveFactory: factory({
    address: contracts.curveFactory,
    event: getAbiItem({ abi: abis.CurveFactory, name: "CurveCreated" }),
    parameter: "curve",
  }),
};

function at<N extends keyof typeof abis>(name: N, address: Address) {
  return { abi: abis[name], chain, address, startBlock };
}

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
    StakeVault: at("StakeVault", contracts.stakeVault),
    DatanetRegistry: at("DatanetRegistry", contracts.datanetRegistry),
    ModelRegistry: at("ModelRegistry", contracts.modelRegistry),
    ChannelEscrow: at("ChannelEscrow", contracts.channelEscrow),
    SettlementHub: at("SettlementHub", contracts.settlementHub),
    AttributionLedger: at("AttributionLedger", contracts.attributionLedger),
    RewardDistributor: at("RewardDistributor", contracts.rewardDistributor),
    DaCertMirror: at("DaCertMirror", contracts.daCertMirror),
    DatanetDaoFactory: at("DatanetDaoFactory", contracts.datanetDaoFactory),
    DatanetDao: { abi: abis.DatanetDao, chain, address: madeBy.datanetDaoFactory, startBlock },
    ModelProposals: at("ModelProposals", contracts.modelProposals),
    CurveFactory: at("CurveFactory", contracts.curveFactory),
    ModelCurve: { abi: abis.ModelCurve, chain, address: madeBy.curveFactory, startBlock },
    OpenToken: at("OpenToken", contracts.openToken),
    Permissions: at("Permissions", contracts.permissions),
    Timelock: at("Timelock", contracts.timelock),
    TributaryGovernor: at("TributaryGovernor", contracts.governor),
    // Not a contract. Ponder's build id covers this object but no source outside `indexer/src`; with the checksum in
    // it, changed code or schema is refused instead of resumed.
    BuildInputs: { abi: [], chain, startBlock: 0, endBlock: 0, checksum: config.sourceChecksum } as {
      abi: [];
      chain: typeof chain;
    },
  },
});
