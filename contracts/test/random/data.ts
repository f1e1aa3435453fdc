/** What may happen in a random life to tokens, stakes, Datanets and models. */
import { type Hex, keccak256, parseEther, toHex, zeroHash } from "viem";
import { devAccount } from "#schema/testing/stack";
import { type Call, type Happening, idUpTo, type Life, poster, read } from "./life.ts";

const address = (who: number) => devAccount(who).address;

const moveTokens = ({ draw }: Life): Call => {
  const [who, to, amount] = [draw.actor(), address(draw.actor()), draw.wei(parseEther("1000"))];
  const choices: Call[] = [
    { who, contract: "openToken", functionName: "transfer", args: [to, amount] },
    { who, contract: "openToken", functionName: "delegate", args: [to] },
    { who, contract: "openToken", functionName: "burn", args: [amount] },
  ];
  return draw.pick(choices)!;
};

/** Scope of a Datanet, a node or a model that there is. */
async function anyScope(life: Life): Promise<Hex | null> {
  const { draw, memory } = life;
  const modelId = draw.pick(memory.modelIds);
  if (draw.chance(20)) return read<Hex>(life, "settlementHub", "nodeScopeOf", [address(draw.actor())]);
  if (draw.chance(20) && modelId !== undefined)
    return read<Hex>(life, "modelProposals", "scopeOf", [modelId]);
  const datanetId = await anyOf(life, "datanetCount");
  return datanetId === null ? null : read<Hex>(life, "datanetRegistry", "scopeOf", [datanetId]);
}

/** An id of the registry's, or null where it has none. */
async function anyOf(life: Life, counter: string): Promise<bigint | null> {
  const count = await read<bigint>(life, "datanetRegistry", counter);
  return count === 0n ? null : idUpTo(life.draw, count);
}

const moveStake = async (life: Life): Promise<Call | null> => {
  const { draw } = life;
  const scope = await anyScope(life);
  if (scope === null) return null;
  const who = draw.actor();
  const amount = draw.wei(parseEther("500"));
  if (draw.chance(50)) return { who, contract: "stakeVault", functionName: "stake", args: [scope, amount] };
  if (draw.chance(30)) {
    const args = [scope, address(draw.actor()), amount];
    return { who, contract: "stakeVault", functionName: "stakeFor", args };
  }
  const functionName = draw.pick(["requestUnstake", "cancelUnstake", "unstake", "unstake"])!;
  return { who, contract: "stakeVault", functionName, args: [scope] };
};

const foundDatanet = ({ draw }: Life): Call => ({
  who: draw.actor(),
  contract: "datanetRegistry",
  functionName: "createDatanet",
  args: [draw.bytes32(), "datanet", termsBy(draw)],
});

function termsBy(draw: Life["draw"]) {
  return {
    minContributorStake: draw.chance(50) ? 0n : draw.wei(parseEther("10")),
    minValidatorStake: draw.wei(parseEther("10")),
    votingPeriodSeconds: BigInt(5 + draw.below(100)),
    quorumBps: draw.below(6_000),
    slashBps: draw.below(5_001),
    ownerBps: 500,
    validatorBps: 1_000,
  };
}

const tendDatanet = async (life: Life): Promise<Call | null> => {
  const { draw } = life;
  const id = await anyOf(life, "datanetCount");
  if (id === null) return null;
  const owner = await read<Hex>(life, "datanetRegistry", "ownerOf", [id]);
  const who = ownerAmong(owner) ?? draw.actor();
  const choices: [string, unknown[]][] = [
    ["updateParams", [id, termsBy(draw)]],
    ["setRules", [id, draw.bytes32(), draw.bytes32()]],
    ["setStatus", [id, draw.chance(20) ? 1 : 0]],
    ["transferOwnership", [id, address(draw.actor())]],
  ];
  const [functionName, args] = draw.pick(choices)!;
  return { who, contract: "datanetRegistry", functionName, args };
};

function ownerAmong(owner: Hex): number | undefined {
  return [1, 2, 3, 4, 5, 6].find((who) => address(who) === owner);
}

const contribute = async (life: Life): Promise<Call | null> => {
  const { draw } = life;
  const id = await anyOf(life, "datanetCount");
  if (id === null) return null;
  const args = [id, draw.bytes32(), 1 + draw.below(9), draw.bytes32(), zeroHash, "0x1234"];
  return { who: draw.actor(), contract: "datanetRegistry", functionName: "submitContribution", args };
};

const judgeBatch = async (life: Life): Promise<Call | null> => {
  const { draw } = life;
  const id = await anyOf(life, "batchCount");
  if (id === null) return null;
  const choices: [string, unknown[]][] = [
    ["vote", [id, draw.chance(60), draw.below(10_001)]],
    ["vote", [id, draw.chance(60), draw.below(10_001)]],
    ["resolve", [id]],
    ["retract", [id, draw.bytes32()]],
  ];
  const [functionName, args] = draw.pick(choices)!;
  return { who: draw.actor(), contract: "datanetRegistry", functionName, args };
};

const giveAccess = async (life: Life): Promise<Call | null> => {
  const { draw, client } = life;
  const [id, request] = [await anyOf(life, "datanetCount"), await anyOf(life, "accessRequestCount")];
  if (id === null) return null;
  if (request === null || draw.chance(40)) {
    const args = [id, draw.bytes32(), "to train"];
    return { who: draw.actor(), contract: "datanetRegistry", functionName: "requestAccess", args };
  }
  const { timestamp } = await client.getBlock();
  const [datanetId] = await read<[bigint]>(life, "datanetRegistry", "accessRequestOf", [request]);
  const who = ownerAmong(await read<Hex>(life, "datanetRegistry", "ownerOf", [datanetId])) ?? draw.actor();
  const [functionName, args] = draw.chance(60)
    ? ["grantAccess", [request, timestamp + draw.wei(1_000n), "0xce11"]]
    : ["refuseAccess", [request, draw.bytes32()]];
  return { who, contract: "datanetRegistry", functionName: functionName as string, args: args as unknown[] };
};

const recordUsage = async (life: Life): Promise<Call | null> => {
  const { draw } = life;
  const id = await anyOf(life, "datanetCount");
  const epoch = await read<bigint>(life, "attributionLedger", "epochCount");
  if (id === null) return null;
  const usage = { datanetId: id, usageRoot: draw.bytes32(), amount: draw.wei(1_000n) };
  return { who: poster, contract: "datanetRegistry", functionName: "recordUsage", args: [epoch, [usage]] };
};

/** A base, or an adapter, quantisation or merge of what there is. */
const registerModel = async ({ draw, memory, client, deployment }: Life): Promise<Call | null> => {
  const parents = [0, 1].flatMap(() => draw.pick(memory.modelIds) ?? []);
  const count = memory.modelIds.length < 2 ? 0 : draw.below(3);
  const weights = [[], [10_000], [6_000, 4_000]][count]!;
  const params = {
    artifactHash: draw.bytes32(),
    configHash: zeroHash,
    trainingDataRoot: zeroHash,
    tokenizerHash: zeroHash,
    ownerBps: count === 0 ? 10_000 : draw.below(10_001),
    provenanceMode: draw.below(2),
    pricePerCall: BigInt(draw.below(8)),
    uri: "model",
  };
  const kind = [[0], [2, 3, 1], [4]][count]!;
  const lineage = weights.map((weightBps, i) => ({ modelId: parents[i]!, weightBps }));
  return {
    who: draw.actor(),
    contract: "modelRegistry",
    functionName: "registerModel",
    args: ["model", draw.pick(kind)!, params, lineage],
    async after() {
      const { contracts } = deployment;
      const [log] = await client.getLogs({ address: contracts.modelRegistry, fromBlock: "latest" });
      memory.modelIds.push(log!.topics[1] as Hex);
    },
  };
};

const tendModel = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const modelId = draw.pick(memory.modelIds);
  if (modelId === undefined) return null;
  const datanetId = (await anyOf(life, "datanetCount")) ?? 1n;
  const who = ownerAmong(await read<Hex>(life, "modelRegistry", "ownerOf", [modelId])) ?? draw.actor();
  const snapshot = draw.chance(50) ? zeroHash : draw.bytes32();
  const choices: [string, unknown[]][] = [
    ["publishVersion", [modelId, draw.bytes32(), zeroHash, "uri"]],
    ["setStatus", [modelId, draw.chance(20) ? 1 : 0]],
    ["setServiceTier", [modelId, draw.below(4)]],
    ["transferOwnership", [modelId, address(draw.actor())]],
    ["useDatanet", [modelId, datanetId + (draw.chance(20) ? 100n : 0n), snapshot, snapshot]],
    ["publishManifest", [modelId, keccak256(toHex("manifest")), "0x01"]],
  ];
  const [functionName, args] = draw.pick(choices)!;
  return { who: draw.chance(90) ? who : draw.actor(), contract: "modelRegistry", functionName, args };
};

const serve = ({ draw }: Life): Call => {
  const who = draw.actor();
  if (draw.chance(20)) return { who, contract: "modelRegistry", functionName: "retireServingNode", args: [] };
  const args = [address(who), zeroHash, "http://node"];
  return { who, contract: "modelRegistry", functionName: "registerServingNode", args };
};

/** Weight → what happens that often. */
export const happenings: [weight: number, happening: Happening][] = [
  [4, moveTokens],
  [10, moveStake],
  [2, foundDatanet],
  [4, tendDatanet],
  [8, contribute],
  [14, judgeBatch],
  [6, giveAccess],
  [2, recordUsage],
  [4, registerModel],
  [6, tendModel],
  [4, serve],
];
