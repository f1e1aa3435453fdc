/** What may happen in a random life to batches, receipts, epochs and rewards. */
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";
import { type Hex, keccak256, zeroHash } from "viem";
import { devAccount } from "#schema/testing/stack";
import { compactClaim } from "#serving/payment/voucher";
import { stateOf, voucherOf } from "./channels.ts";
import {
  actors,
  type Call,
  type Channel,
  type Draw,
  type Happening,
  type Header,
  type Life,
  poster,
  type Receipt,
  type RewardLeaf,
  read,
} from "./life.ts";

const address = (who: number) => devAccount(who).address;

/** Three receipts of a channel, two of them in the batch. */
const settleBatch = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const channel = draw.pick(memory.channels);
  const modelId = draw.pick(memory.modelIds);
  if (channel === undefined || modelId === undefined) return null;
  const { claimed, left } = await stateOf(life, channel);
  if (left < 3n) return null;
  const amount = draw.wei(left);
  const total = claimed + amount;
  const receipts: Receipt[] = [];
  for (const _ of [0, 1, 2]) receipts.push(await receiptBy(life, channel, modelId, total));
  const leaves = receipts.slice(0, 2).map(({ hash }) => keccak256(hash));
  const root = parentOf(leaves[0]!, leaves[1]!);
  for (const i of [0, 1]) Object.assign(receipts[i]!, { root, proof: [leaves[1 - i]!] });
  const claims = [compactClaim(channel.config, await voucherOf(life, channel, total, draw.chance(95)))];
  const totals = [{ modelId, amount, calls: draw.chance(90) ? 1 : 1_000_000 }];
  return {
    who: draw.chance(95) ? channel.node : draw.actor(),
    contract: "settlementHub",
    functionName: "submitBatch",
    args: [address(channel.node), claims, [], totals, root, zeroHash, "0xda"],
    after: () => void memory.receipts.push(...receipts),
  };
};

async function receiptBy(life: Life, channel: Channel, modelId: Hex, charged: bigint): Promise<Receipt> {
  const receipt = {
    requestId: life.draw.bytes32(),
    payer: channel.config.payer,
    node: address(channel.node),
    modelId,
    adapterSet: zeroHash,
    inputCommit: zeroHash,
    outputCommit: life.draw.bytes32(),
    retrievalCommit: zeroHash,
    paramsHash: zeroHash,
    profileHash: zeroHash,
    provenanceMode: 0,
    promptTokens: 1,
    completionTokens: 1,
    fee: 1n,
    channelId: channel.channelId,
    cumulativeCharged: charged,
    servedAt: 1n,
  };
  return { receipt, ...(await signedBy(life, channel.node, receipt)), root: null, proof: [] };
}

async function signedBy(life: Life, node: number, receipt: unknown): Promise<{ hash: Hex; signature: Hex }> {
  const hash = await read<Hex>(life, "settlementHub", "receiptDigest", [receipt]);
  return { hash, signature: await devAccount(node).sign({ hash }) };
}

function parentOf(left: Hex, right: Hex): Hex {
  const [low, high] = BigInt(left) < BigInt(right) ? [left, right] : [right, left];
  return keccak256(`${low}${high.slice(2)}`);
}

const judgeReceipt = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const given = draw.pick(memory.receipts);
  if (given === undefined) return null;
  const { receipt, hash, signature, root, proof } = given;
  const node = actors.find((who) => address(who) === receipt.node)!;
  const altered = { ...receipt, outputCommit: draw.bytes32() };
  const signed = await signedBy(life, node, altered);
  const settled = [altered, signed.signature, receipt, root ?? zeroHash, proof];
  const choices: [string, unknown[]][] = [
    ["challengeMissing", [receipt, signature]],
    ["challengeMissing", [receipt, signature]],
    ["answerMissing", [hash, root ?? zeroHash, proof]],
    ["resolveMissing", [hash]],
    ["resolveMissing", [hash]],
    ["proveDouble", [receipt, signature, altered, signed.signature]],
    ["proveAltered", settled],
  ];
  const [functionName, args] = draw.pick(choices)!;
  return { who: draw.actor(), contract: "settlementHub", functionName, args };
};

const payNode = ({ draw }: Life): Call => ({
  who: draw.actor(),
  contract: "settlementHub",
  functionName: "payNode",
  args: [address(draw.actor())],
});

const guard = ({ draw }: Life): Call => {
  const contract = draw.pick(["settlementHub", "attributionLedger"] as const)!;
  if (draw.chance(50)) return { who: poster, contract, functionName: "resumeIntake", args: [] };
  return { who: poster, contract, functionName: "pauseIntake", args: [draw.wei(30n)] };
};

/** Rewards that grow for some, within what the pool has; one in three has a leaf against the rules. */
const proposeEpoch = async (life: Life): Promise<Call | null> => {
  const { draw, memory, client } = life;
  const ledger = "attributionLedger";
  const epoch = (await read<bigint>(life, ledger, "epochCount")) + 1n;
  const [rootTotalBefore, funded] = [
    await read<bigint>(life, "rewardDistributor", "rootTotal"),
    await read<bigint>(life, "rewardDistributor", "totalFunded"),
  ];
  if (funded === rootTotalBefore) return null;
  const rootTotal = rootTotalBefore + draw.wei(funded - rootTotalBefore);
  const earned = earnedOnTop(draw, memory.earned, rootTotal - rootTotalBefore);
  const leaves = rewardLeaves(life, [...earned, ...wrongLeaves(draw, earned, rootTotal)]);
  const header: Header = {
    rewardRoot: leaves.root,
    attributionRoot: draw.bytes32(),
    receiptsAccumulator: draw.bytes32(),
    rootTotal,
    fromBlock: await read<bigint>(life, ledger, "settledToBlock"),
    toBlock: (await client.getBlockNumber()) - 1n,
    methodHash: zeroHash,
    contentHash: draw.bytes32(),
    daRef: keccak256("0xce"),
  };
  return {
    who: draw.chance(90) ? poster : draw.actor(),
    contract: ledger,
    functionName: "propose",
    args: [epoch, header, "0xce"],
    after() {
      memory.headers.set(epoch, header);
      memory.trees.set(leaves.root, leaves.all);
    },
  };
};

function earnedOnTop(draw: Draw, before: Map<`0x${string}`, bigint>, amount: bigint) {
  const who = address(draw.actor());
  return new Map(before).set(who, (before.get(who) ?? 0n) + amount);
}

type Reward = readonly [account: Hex, cumulative: bigint];

/** None mostly; or more than the root's total for somebody, or a second leaf for one who has one: larger, or smaller. */
function wrongLeaves(draw: Draw, earned: Map<Hex, bigint>, rootTotal: bigint): Reward[] {
  const [account, cumulative] = draw.pick([...earned])!;
  const wrong: Reward[] = [
    [address(7), rootTotal + 1n],
    [account, cumulative + 1n],
    [account, cumulative - 1n],
  ];
  return draw.chance(35) ? [draw.pick(wrong)!] : [];
}

function rewardLeaves({ deployment }: Life, rewards: readonly Reward[]) {
  const { chainId, contracts } = deployment;
  const rows = rewards.map(([account, wei]) => [chainId, contracts.rewardDistributor, account, `${wei}`]);
  const tree = StandardMerkleTree.of(rows, ["uint256", "address", "address", "uint256"]);
  const all = rewards.map(([account, cumulative], i) => ({
    account,
    cumulative,
    proof: tree.getProof(i) as Hex[],
  }));
  return { root: tree.root as Hex, all };
}

/** Two leaves by which a fault may be proven: of one account, of this root and of the live one or of this one twice. */
async function pairOf(life: Life, leaves: readonly RewardLeaf[]): Promise<[string, RewardLeaf, RewardLeaf]> {
  const { draw, memory } = life;
  const live = memory.trees.get(await read<Hex>(life, "rewardDistributor", "root")) ?? [];
  const pairs = leaves.flatMap((leaf) => [
    ...live
      .filter((before) => before.account === leaf.account && before.cumulative > leaf.cumulative)
      .map((before) => ["proveLeafFalls", leaf, before] as [string, RewardLeaf, RewardLeaf]),
    ...leaves
      .filter((other) => other.account === leaf.account && other.cumulative !== leaf.cumulative)
      .map((other) => ["proveLeafTwice", leaf, other] as [string, RewardLeaf, RewardLeaf]),
  ]);
  const [one, other] = [draw.pick(leaves)!, draw.pick(live) ?? draw.pick(leaves)!];
  return draw.pick(pairs) ?? [draw.pick(["proveLeafFalls", "proveLeafTwice"])!, one, other];
}

const judgeEpoch = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const epoch = (await read<bigint>(life, "attributionLedger", "epochCount")) + 1n;
  const header = memory.headers.get(epoch);
  if (header === undefined) return null;
  const leaf = draw.pick(memory.trees.get(header.rewardRoot)!)!;
  const someone = draw.actor();
  const [proof, one, other] = await pairOf(life, memory.trees.get(header.rewardRoot)!);
  const finalize: Call = {
    who: someone,
    contract: "attributionLedger",
    functionName: "finalize",
    args: [epoch, header],
    after: () => remember(life, header),
  };
  const choices: [number, string, unknown[]][] = [
    [someone, "dispute", [epoch, 1, "0xbad0"]],
    [someone, "dispute", [epoch, 1, "0xbad0"]],
    [someone, "disputeLeaf", [epoch, header, leaf, 2, "0x"]],
    [someone, "proveLeafAboveTotal", [epoch, header, leaf]],
    [someone, proof, [epoch, header, one, other]],
    [someone, proof, [epoch, header, one, other]],
    [someone, "proveCertificateInvalid", [epoch, header]],
    [poster, "withdrawEpoch", [epoch]],
    [poster, "resolveDispute", [epoch, draw.chance(40)]],
    [poster, "resolveDispute", [epoch, draw.chance(40)]],
    [someone, "rejectUnresolved", [epoch]],
  ];
  if (draw.chance(40)) return finalize;
  const [who, functionName, args] = draw.pick(choices)!;
  return { who, contract: "attributionLedger", functionName, args };
};

/** What a final root gave is what later ones build on. */
function remember({ memory }: Life, header: Header): void {
  for (const { account, cumulative } of memory.trees.get(header.rewardRoot)!) {
    memory.earned.set(account, cumulative);
  }
}

const withdrawBond = ({ draw }: Life): Call => ({
  who: draw.chance(40) ? poster : draw.actor(),
  contract: draw.pick(["attributionLedger", "modelProposals"] as const)!,
  functionName: "withdrawBond",
  args: [],
});

const reward = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const contract = "rewardDistributor";
  const root = await read<Hex>(life, contract, "root");
  const leaves = memory.trees.get(root) ?? [];
  const leaf = draw.pick(leaves);
  const who = draw.actor();
  if (leaf === undefined || draw.chance(30)) {
    return { who, contract, functionName: "fund", args: [draw.wei(1_000n)] };
  }
  const { account, cumulative, proof }: RewardLeaf = leaf;
  const receiver = actors.find((each) => address(each) === account) ?? who;
  const choices: [number, string, unknown[]][] = [
    [who, "claim", [account, cumulative, proof]],
    [who, "claimMany", [leaves]],
    [who, "setClaimer", [address(draw.actor())]],
    [who, "claimTo", [account, address(7), cumulative, proof]],
    [receiver, "claimTo", [account, address(draw.actor()), cumulative, proof]],
    [receiver, "claimTo", [account, address(draw.actor()), cumulative, proof]],
  ];
  const [by, functionName, args] = draw.pick(choices)!;
  return { who: by, contract, functionName, args };
};

/** Weight → what happens that often. */
export const happenings: [weight: number, happening: Happening][] = [
  [12, settleBatch],
  [10, judgeReceipt],
  [3, payNode],
  [2, guard],
  [8, proposeEpoch],
  [14, judgeEpoch],
  [3, withdrawBond],
  [8, reward],
];
