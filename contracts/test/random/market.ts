/** What may happen in a random life to proposals of models, curves, decisions of holders, and permissions. */
import { type Abi, encodeFunctionData, type Hex, keccak256, parseEther, toHex } from "viem";
import { abis } from "#contracts/deploy";
import { devAccount } from "#schema/testing/stack";
import { relayVerdict } from "../layer-one.ts";
import { type Call, type Happening, idUpTo, type Life, poster, read } from "./life.ts";

const address = (who: number) => devAccount(who).address;
const roleId = 9n;

const proposeModel = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const id = (await read<bigint>(life, "modelProposals", "proposalCount")) + 1n;
  const spec = {
    specHash: draw.bytes32(),
    uri: "ipfs://spec",
    datanetId: draw.chance(90) ? 0n : 1n + BigInt(draw.below(40)),
    name: "Model",
    symbol: "MDL",
    curve: {
      baseWei: draw.wei(parseEther("0.01")),
      slopeWei: draw.wei(parseEther("0.001")),
      capTokens: 100 + draw.below(1_000),
      feeBps: draw.below(1_100), // Above 1,000 no curve can be made of it.
    },
  };
  return {
    who: draw.actor(),
    contract: "modelProposals",
    functionName: "propose",
    args: [spec],
    after: () => void memory.specs.set(id, spec),
  };
};

const judgeProposal = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const count = await read<bigint>(life, "modelProposals", "proposalCount");
  if (count === 0n) return null;
  const id = idUpTo(draw, count);
  if (draw.chance(50)) {
    const args = [id, draw.chance(75)];
    return { who: draw.actor(), contract: "modelProposals", functionName: "vote", args };
  }
  if (draw.chance(50)) {
    return { who: draw.actor(), contract: "modelProposals", functionName: "resolve", args: [id] };
  }
  const [proposer] = await read<[Hex]>(life, "modelProposals", "proposalOf", [id]);
  const who = [1, 2, 3, 4, 5, 6].find((each) => address(each) === proposer)!;
  const owned = await ownedBy(life, proposer);
  if (owned === undefined) return null;
  const args = [id, owned, memory.specs.get(id)];
  return { who, contract: "modelProposals", functionName: "deployCurve", args };
};

async function ownedBy(life: Life, owner: Hex): Promise<Hex | undefined> {
  const owned: Hex[] = [];
  for (const modelId of life.memory.modelIds) {
    if ((await read<Hex>(life, "modelRegistry", "ownerOf", [modelId])) === owner) owned.push(modelId);
  }
  return life.draw.pick(owned);
}

const reportModel = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const contract = "modelProposals";
  const modelId = draw.pick(memory.modelIds);
  const count = await read<bigint>(life, contract, "reportCount");
  if (modelId === undefined) return null;
  if (count === 0n || draw.chance(30)) {
    return { who: draw.actor(), contract, functionName: "report", args: [modelId, "0x0bad"] };
  }
  const id = idUpTo(draw, count);
  const choices: [number, string, unknown[]][] = [
    [poster, "resolveReport", [id, draw.chance(60)]],
    [draw.actor(), "expireReport", [id]],
    [draw.actor(), "penalise", [id, address(draw.actor())]],
  ];
  const [who, functionName, args] = draw.pick(choices)!;
  return { who, contract, functionName, args };
};

const tradeCurve = async (life: Life): Promise<Call | null> => {
  const { draw, client, memory } = life;
  const curves: Hex[] = [];
  for (const modelId of memory.modelIds) {
    const curve = await read<Hex>(life, "curveFactory", "curveOf", [modelId]);
    if (BigInt(curve) !== 0n) curves.push(curve);
  }
  const curve = draw.pick(curves);
  if (curve === undefined) return null;
  const contract = { address: curve, abi: abis.modelCurve as Abi };
  const who = draw.actor();
  const deadline = (await client.getBlock()).timestamp + 60n;
  const amount = draw.wei(parseEther("20"));
  const trades: [string, unknown[]][] = [
    ["buy", [amount, parseEther("1000"), address(draw.actor()), deadline]],
    ["sell", [amount / 4n, 0n, address(who), deadline]],
    ["transfer", [address(draw.actor()), amount / 8n]],
    ["collectFees", []],
  ];
  const [functionName, args] = draw.pick(trades)!;
  const allowed = await read<bigint>(life, "openToken", "allowance", [address(who), curve]);
  if (functionName === "buy" && allowed < parseEther("1000000")) {
    const approval = [curve, parseEther("2000000")];
    return { who, contract: "openToken", functionName: "approve", args: approval };
  }
  return { who, contract, functionName, args };
};

/** Anyone with enough votes proposes to the Governor that it change one of its settings. */
const proposeDecision = ({ draw, memory, deployment }: Life): Call => {
  const { governor, timelock } = deployment.contracts;
  const ofGovernor = (functionName: string, args: unknown[]) => ({
    target: governor,
    data: encodeFunctionData({ abi: abis.governor as Abi, functionName, args }),
  });
  const choices = [
    ofGovernor("setVotingPeriod", [40 + draw.below(40)]),
    ofGovernor("setProposalThreshold", [draw.wei(parseEther("20000"))]),
    ofGovernor("updateQuorumNumerator", [BigInt(2 + draw.below(4))]),
    {
      target: timelock,
      data: encodeFunctionData({ abi: abis.timelock, functionName: "updateDelay", args: [draw.wei(3n)] }),
    },
  ];
  const { target, data } = draw.pick(choices)!;
  const why = draw.bytes32();
  const actions = [[target], [0n], [data]];
  return {
    who: draw.actor(),
    contract: "governor",
    functionName: "propose",
    args: [...actions, why],
    after: () => void memory.decisions.push([...actions, keccak256(toHex(why))]),
  };
};

const decide = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const decision = draw.pick(memory.decisions.slice(-4));
  if (decision === undefined) return null;
  const id = await read<bigint>(life, "governor", "getProposalId", decision);
  const choices: [string, unknown[]][] = [
    ["castVote", [id, draw.chance(80) ? 1 : draw.below(3)]],
    ["castVote", [id, draw.chance(80) ? 1 : draw.below(3)]],
    ["castVoteWithReasonAndParams", [id, 2, "why", "0x01"]],
    ["queue", decision],
    ["execute", decision],
    ["cancel", decision],
  ];
  const [functionName, args] = draw.pick(choices)!;
  return { who: draw.actor(), contract: "governor", functionName, args };
};

/** The Timelock uses its permissions; somebody else tries to. */
const permit = ({ draw, deployment }: Life): Call => {
  const { timelock, openToken } = deployment.contracts;
  const choices: [string, unknown[]][] = [
    ["grantRole", [roleId, address(draw.actor()), 0]],
    ["revokeRole", [roleId, address(draw.actor())]],
    ["setRoleGuardian", [roleId, draw.wei(5n)]],
    ["setTargetFunctionRole", [openToken, [`0x${draw.bytes32().slice(2, 10)}`], roleId]],
    ["labelRole", [roleId, "a role"]],
  ];
  const [functionName, args] = draw.pick(choices)!;
  const call: Call = { who: timelock, contract: "permissions", functionName, args };
  return draw.chance(80) ? call : { ...call, who: draw.actor() };
};

/** Layer 1's verdict on a certificate arrives: no transaction of an account's. */
const judgeCertificate = async (life: Life): Promise<Call | null> => {
  await relayVerdict(life, life.draw.bytes32(), life.draw.chance(50) ? 1 : 6);
  return null;
};

/** Weight → what happens that often. */
export const happenings: [weight: number, happening: Happening][] = [
  [5, proposeModel],
  [12, judgeProposal],
  [6, reportModel],
  [10, tradeCurve],
  [2, proposeDecision],
  [8, decide],
  [4, permit],
  [2, judgeCertificate],
];
