/** What may happen in a random life to the DAOs of Datanets: made, given their Datanet, asked, voted in. */
import { type Abi, type Address, encodeFunctionData, type Hex, keccak256, parseEther, toHex } from "viem";
import { abis } from "#contracts/deploy";
import { devAccount } from "#schema/testing/stack";
import { actors, type Call, type Happening, type Life, read } from "./life.ts";

const address = (who: number) => devAccount(who).address;
const clone = (dao: Address) => ({ address: dao, abi: abis.datanetDao as Abi });

/** For a Datanet, or for one that is not there. */
const foundDao = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const count = await read<bigint>(life, "datanetRegistry", "datanetCount");
  if (count === 0n) return null;
  const settings = {
    datanetId: 1n + BigInt(draw.below(Number(count) + (draw.chance(10) ? 1 : 0))),
    votingDelayBlocks: draw.chance(90) ? 1 + draw.below(2) : 0,
    votingPeriodBlocks: 10 + draw.below(50),
    quorumBps: 1 + draw.below(3_000),
  };
  const dao = await read<Address>(life, "datanetDaoFactory", "daoOf", [settings]);
  return {
    who: draw.actor(),
    contract: "datanetDaoFactory",
    functionName: "create",
    args: [settings],
    after: () => void memory.daos.push({ dao, datanetId: settings.datanetId }),
  };
};

/** Its owner gives a Datanet to its DAO; anyone gives the DAO money. */
const endowDao = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const made = draw.pick(memory.daos);
  if (made === undefined) return null;
  if (draw.chance(40)) {
    const args = [made.dao, draw.wei(10_000n)];
    return { who: draw.actor(), contract: "openToken", functionName: "transfer", args };
  }
  const owner = await read<Hex>(life, "datanetRegistry", "ownerOf", [made.datanetId]);
  const who = actors.find((each) => address(each) === owner) ?? draw.actor();
  const args = [made.datanetId, made.dao];
  return { who, contract: "datanetRegistry", functionName: "transferOwnership", args };
};

/** Who stakes in the Datanet proposes to change it, or to spend. */
const proposeInDao = async (life: Life): Promise<Call | null> => {
  const { draw, memory, deployment } = life;
  const made = draw.pick(memory.daos);
  if (made === undefined) return null;
  const { datanetRegistry, openToken } = deployment.contracts;
  const { datanetId, dao } = made;
  const ofRegistry = (functionName: string, args: unknown[]) =>
    [datanetRegistry, encodeFunctionData({ abi: abis.datanetRegistry as Abi, functionName, args })] as const;
  const [target, data] = draw.pick([
    ofRegistry("setRules", [datanetId, draw.bytes32(), draw.bytes32()]),
    ofRegistry("setStatus", [datanetId, 0]),
    ofRegistry("transferOwnership", [datanetId, address(draw.actor())]),
    [
      openToken,
      encodeFunctionData({
        abi: abis.openToken,
        functionName: "transfer",
        args: [address(draw.actor()), draw.wei(100n)],
      }),
    ] as const,
  ])!;
  const why = draw.bytes32();
  const actions = [[target], [0n], [data]];
  return {
    who: draw.chance(80) ? await stakerIn(life, datanetId) : draw.actor(),
    contract: clone(dao),
    functionName: "propose",
    args: [...actions, why],
    after: () => void memory.daoDecisions.push({ dao, datanetId, args: [...actions, keccak256(toHex(why))] }),
  };
};

/** Somebody who stakes in the Datanet, where there is one. */
async function stakerIn(life: Life, datanetId: bigint): Promise<number> {
  const scope = await read<Hex>(life, "datanetRegistry", "scopeOf", [datanetId]);
  const stakers: number[] = [];
  for (const who of actors) {
    const votes = await read<bigint>(life, "stakeVault", "votableOf", [scope, address(who)]);
    if (votes > 0n) stakers.push(who);
  }
  return life.draw.pick(stakers) ?? life.draw.actor();
}

/** Somebody stakes more than it takes to propose. */
const joinDao = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const made = draw.pick(memory.daos);
  if (made === undefined) return null;
  const scope = await read<Hex>(life, "datanetRegistry", "scopeOf", [made.datanetId]);
  const args = [scope, parseEther("10") + draw.wei(parseEther("50"))];
  return { who: draw.actor(), contract: "stakeVault", functionName: "stake", args };
};

const decideInDao = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const decision = draw.pick(memory.daoDecisions.slice(-3));
  if (decision === undefined) return null;
  const contract = clone(decision.dao);
  const id = await read<bigint>(life, contract, "getProposalId", decision.args);
  const choices: [string, unknown[]][] = [
    ["castVote", [id, draw.chance(80) ? 1 : draw.below(3)]],
    ["castVote", [id, draw.chance(80) ? 1 : draw.below(3)]],
    ["castVote", [id, draw.chance(80) ? 1 : draw.below(3)]],
    ["castVoteWithReason", [id, draw.below(3), "why"]],
    ["execute", decision.args],
    ["execute", decision.args],
    ["cancel", decision.args],
  ];
  const [functionName, args] = draw.pick(choices)!;
  const who = draw.chance(70) ? await stakerIn(life, decision.datanetId) : draw.actor();
  return { who, contract, functionName, args };
};

/** Weight → what happens that often. */
export const happenings: [weight: number, happening: Happening][] = [
  [3, foundDao],
  [4, endowDao],
  [4, joinDao],
  [4, proposeInDao],
  [16, decideInDao],
];
