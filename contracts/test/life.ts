/** A scripted life of all contracts on a real chain, in which every event of ours happens at least once. */
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";
import {
  type Abi,
  type Address,
  type Hex,
  keccak256,
  maxUint256,
  parseEther,
  toHex,
  zeroAddress,
  zeroHash,
} from "viem";
import { abis, type ContractName } from "#contracts/deploy";
import { channelEscrowAbi } from "#schema/abi/channel-escrow";
import { datanetRegistryAbi } from "#schema/abi/datanet-registry";
import { modelRegistryAbi } from "#schema/abi/model-registry";
import { settlementHubAbi } from "#schema/abi/settlement-hub";
import { chainClient, devAccount, type TestDeployment, walletClient } from "#schema/testing/stack";
import { compactClaim } from "#serving/payment/voucher";
import { decide, governPermissions, joinForces } from "./governance-life.ts";
import { relayVerdict } from "./layer-one.ts";
import { govern, tendDatanet, trade } from "./market-life.ts";

/** Which development account plays whom. 7, 8 and 9 are those of the deployment. */
export const contributor = 1;
export const validator = 2;
const payer = 3;
export const node = 4;
export const disputer = 5;
export const claimer = 6;
export const poster = 8;
export const holder = 9;

const votingPeriodSeconds = 60;
const withdrawDelaySeconds = 900;
const stakeWei = parseEther("100");

export type World = { rpcUrl: string; deployment: TestDeployment };

export async function live(world: World): Promise<void> {
  const chain = connect(world);
  await fundEveryone(chain);
  await authorize(chain);
  await contribute(chain);
  const modelId = await registerModels(chain);
  await leaveTheVault(chain);
  await settle(chain, modelId);
  await challengeReceipts(chain, modelId);
  await leaveTheChannel(chain);
  await closeEpochs(chain);
  await tendDatanet(chain);
  await trade(chain, modelId);
  await joinForces(chain);
  await decide(chain);
  await governPermissions(chain);
  await govern(chain, modelId);
}

/**
 * Gas given to each call, instead of an estimate: a burn writes a vote checkpoint in place within the second of the last
 * one, and a new one later, so what is estimated in one second may not do in the next.
 */
const callGas = 5_000_000n;

export type Chain = ReturnType<typeof connect>;

export function connect({ rpcUrl, deployment }: World) {
  const client = chainClient(rpcUrl);
  return {
    rpcUrl,
    client,
    deployment,
    /** Sends as development account `who` and waits; a revert throws. */
    async send(who: number, name: ContractName, functionName: string, args: unknown[]): Promise<void> {
      const abi = abis[name] as Abi;
      const address = deployment.contracts[name];
      const { request } = await client.simulateContract({
        account: devAccount(who),
        abi,
        address,
        functionName,
        args,
      });
      const hash = await walletClient(rpcUrl, devAccount(who)).writeContract({
        ...request,
        chain: null,
        gas: callGas,
      });
      await client.waitForTransactionReceipt({ hash });
    },
    async pass(seconds: number): Promise<void> {
      await client.increaseTime({ seconds });
      await client.mine({ blocks: 1 });
    },
  };
}

async function fundEveryone({ send, deployment }: Chain): Promise<void> {
  const { contracts } = deployment;
  for (const who of [contributor, validator, payer, disputer, poster]) {
    await send(holder, "openToken", "transfer", [devAccount(who).address, parseEther("1000")]);
  }
  const spenders = [
    [holder, contracts.stakeVault],
    [holder, contracts.rewardDistributor],
    [contributor, contracts.stakeVault],
    [validator, contracts.stakeVault],
    [payer, contracts.channelEscrow],
    [disputer, contracts.attributionLedger],
    [disputer, contracts.settlementHub],
    [poster, contracts.attributionLedger],
  ] as const;
  for (const [who, spender] of spenders) await send(who, "openToken", "approve", [spender, maxUint256]);
}

/** One authorised transfer is made, another is taken back. */
export async function authorize({ send, deployment }: Chain): Promise<void> {
  const { chainId, contracts } = deployment;
  const domain = {
    name: "Tributary OPEN",
    version: "1",
    chainId,
    verifyingContract: contracts.openToken,
  } as const;
  const from = devAccount(payer).address;
  const message = {
    from,
    to: devAccount(claimer).address,
    value: 5n,
    validAfter: 0n,
    validBefore: maxUint256,
  };
  const [used, canceled] = [keccak256(toHex("used")), keccak256(toHex("canceled"))];
  const transfer = await devAccount(payer).signTypedData({
    domain,
    types: { TransferWithAuthorization: authorizationFields },
    primaryType: "TransferWithAuthorization",
    message: { ...message, nonce: used },
  });
  const terms = [from, message.to, message.value, message.validAfter, message.validBefore, used];
  await send(holder, "openToken", "transferWithAuthorization", [...terms, transfer]);
  const cancel = await devAccount(payer).signTypedData({
    domain,
    types: { CancelAuthorization: cancelFields },
    primaryType: "CancelAuthorization",
    message: { authorizer: from, nonce: canceled },
  });
  await send(holder, "openToken", "cancelAuthorization", [from, canceled, cancel]);
}

const authorizationFields = [
  { name: "from", type: "address" },
  { name: "to", type: "address" },
  { name: "value", type: "uint256" },
  { name: "validAfter", type: "uint256" },
  { name: "validBefore", type: "uint256" },
  { name: "nonce", type: "bytes32" },
];
const cancelFields = [
  { name: "authorizer", type: "address" },
  { name: "nonce", type: "bytes32" },
];

async function registerModels({ send, client, deployment }: Chain): Promise<Hex> {
  const artifactHash = keccak256(toHex("artifact"));
  const params = {
    artifactHash,
    configHash: zeroHash,
    trainingDataRoot: zeroHash,
    tokenizerHash: zeroHash,
    ownerBps: 10_000,
    provenanceMode: 0,
    pricePerCall: 7n,
    uri: "runtime/models/a",
  };
  await send(node, "modelRegistry", "registerModel", ["base", 0, params, []]);
  const [registered] = await client.getContractEvents({
    address: deployment.contracts.modelRegistry,
    abi: modelRegistryAbi,
    eventName: "ModelRegistered",
    strict: true,
    fromBlock: 0n,
  });
  const modelId = registered!.args.modelId;
  const child = { ...params, ownerBps: 6_000, pricePerCall: 11n };
  await send(node, "modelRegistry", "registerModel", ["child", 2, child, [{ modelId, weightBps: 10_000 }]]);
  await send(node, "modelRegistry", "useDatanet", [modelId, 1n, zeroHash, zeroHash]);
  await send(node, "modelRegistry", "useDatanet", [modelId, 1n, artifactHash, artifactHash]);
  await send(validator, "modelRegistry", "registerServingNode", [zeroAddress, zeroHash, "http://gone"]);
  await send(validator, "modelRegistry", "retireServingNode", []);
  await send(node, "modelRegistry", "publishManifest", [modelId, keccak256(toHex("manifest")), "0x01"]);
  await send(node, "modelRegistry", "registerServingNode", [
    devAccount(node).address,
    zeroHash,
    "http://node",
  ]);
  return modelId;
}

/** Four batches: accepted and retracted, rejected, lapsed, pending. */
async function contribute({ send, pass, client, deployment }: Chain): Promise<void> {
  await send(holder, "datanetRegistry", "createDatanet", [
    zeroHash,
    "datanet",
    {
      minContributorStake: stakeWei,
      minValidatorStake: stakeWei,
      votingPeriodSeconds: BigInt(votingPeriodSeconds),
      quorumBps: 5_000,
      slashBps: 1_000,
      ownerBps: 500,
      validatorBps: 1_000,
    },
  ]);
  const scope = await scopeOf(client, deployment.contracts.datanetRegistry);
  await send(validator, "stakeVault", "stake", [scope, stakeWei]);
  await send(holder, "stakeVault", "stakeFor", [scope, devAccount(contributor).address, 2n * stakeWei]);
  for (const root of ["accepted", "rejected", "lapsed", "pending"]) {
    const dataRoot = keccak256(toHex(root));
    await send(contributor, "datanetRegistry", "submitContribution", [
      1n,
      dataRoot,
      3,
      zeroHash,
      zeroHash,
      "0x1234",
    ]);
  }
  await send(validator, "datanetRegistry", "vote", [1n, true, 9_000]);
  await send(validator, "datanetRegistry", "vote", [2n, false, 100]);
  await send(holder, "datanetRegistry", "resolve", [1n]);
  await send(holder, "datanetRegistry", "resolve", [2n]);
  await send(contributor, "datanetRegistry", "retract", [1n, keccak256(toHex("licence"))]);
  await pass(votingPeriodSeconds);
  await send(holder, "datanetRegistry", "resolve", [3n]);
}

async function scopeOf(client: Chain["client"], address: Address): Promise<Hex> {
  return client.readContract({ address, abi: datanetRegistryAbi, functionName: "scopeOf", args: [1n] });
}

async function leaveTheVault({ send, pass, client, deployment }: Chain): Promise<void> {
  const scope = await scopeOf(client, deployment.contracts.datanetRegistry);
  await send(validator, "stakeVault", "requestUnstake", [scope]);
  await send(contributor, "stakeVault", "requestUnstake", [scope]);
  await send(contributor, "stakeVault", "cancelUnstake", [scope]);
  await send(contributor, "stakeVault", "requestUnstake", [scope]);
  await pass(deployment.config.unstakeCooldownSeconds + 1);
  await send(validator, "stakeVault", "unstake", [scope]);
}

async function settle({ send, client, deployment }: Chain, modelId: Hex): Promise<void> {
  const { contracts, chainId } = deployment;
  const config = {
    payer: devAccount(payer).address,
    payerAuthorizer: zeroAddress,
    receiver: contracts.settlementHub,
    receiverAuthorizer: devAccount(node).address,
    token: contracts.openToken,
    withdrawDelay: withdrawDelaySeconds,
    salt: zeroHash,
  };
  await send(payer, "channelEscrow", "openChannel", [config, 10_000n]);
  const channelId = await client.readContract({
    address: contracts.channelEscrow,
    abi: channelEscrowAbi,
    functionName: "getChannelId",
    args: [config],
  });
  await send(payer, "channelEscrow", "deposit", [channelId, 5_000n]);
  for (const totalClaimed of [4_999n, 9_001n]) {
    const signature = await devAccount(payer).signTypedData({
      domain: {
        name: "x402 Batch Settlement",
        version: "1",
        chainId,
        verifyingContract: contracts.channelEscrow,
      },
      types: {
        Voucher: [
          { name: "channelId", type: "bytes32" },
          { name: "maxClaimableAmount", type: "uint128" },
        ],
      },
      primaryType: "Voucher",
      message: { channelId, maxClaimableAmount: 9_999n },
    });
    const amount = totalClaimed === 4_999n ? 4_999n : 4_002n;
    const claims = [compactClaim(config, { maxClaimableAmount: 9_999n, totalClaimed, signature })];
    const totals = [{ modelId, amount, calls: 3 }];
    const receiptsRoot = keccak256(toHex(`receipts ${totalClaimed}`));
    await send(node, "settlementHub", "submitBatch", [
      devAccount(node).address,
      claims,
      [],
      totals,
      receiptsRoot,
      zeroHash,
      "0xda",
    ]);
    if (totalClaimed === 4_999n) await send(holder, "settlementHub", "payNode", [devAccount(node).address]);
  }
}

/** Receipts of the node in no batch: one is never shown, for two others there are two each, one of these challenged. */
async function challengeReceipts({ send, pass, client, deployment }: Chain, modelId: Hex): Promise<void> {
  const { settlementHub: address, channelEscrow } = deployment.contracts;
  const [created] = await client.getContractEvents({
    address: channelEscrow,
    abi: channelEscrowAbi,
    eventName: "ChannelCreated",
    strict: true,
    fromBlock: 0n,
  });
  const zero = { adapterSet: zeroHash, inputCommit: zeroHash, retrievalCommit: zeroHash };
  const receiptOf = async (request: string, output: string) => {
    const receipt = {
      ...zero,
      requestId: keccak256(toHex(request)),
      payer: devAccount(payer).address,
      node: devAccount(node).address,
      modelId,
      outputCommit: keccak256(toHex(output)),
      paramsHash: zeroHash,
      profileHash: zeroHash,
      provenanceMode: 0,
      promptTokens: 1,
      completionTokens: 1,
      fee: 7n,
      channelId: created!.args.channelId,
      cumulativeCharged: 7n,
      servedAt: 1n,
    };
    const call = { address, abi: settlementHubAbi, functionName: "receiptDigest", args: [receipt] } as const;
    const hash = await client.readContract(call);
    return { receipt, hash, signature: await devAccount(node).sign({ hash }) };
  };
  const missing = await receiptOf("missing", "a");
  await send(disputer, "settlementHub", "challengeMissing", [missing.receipt, missing.signature]);
  await pass(deployment.config.answerWindowSeconds);
  await send(holder, "settlementHub", "resolveMissing", [missing.hash]);
  const [one, two] = [await receiptOf("twice", "a"), await receiptOf("twice", "b")];
  const twice = [one.receipt, one.signature, two.receipt, two.signature];
  await send(disputer, "settlementHub", "proveDouble", twice);
  const open = await receiptOf("open", "a");
  await send(disputer, "settlementHub", "challengeMissing", [open.receipt, open.signature]);
  const other = await receiptOf("open", "b");
  await send(disputer, "settlementHub", "proveDouble", [
    open.receipt,
    open.signature,
    other.receipt,
    other.signature,
  ]);
}

async function leaveTheChannel({ send, pass, client, deployment }: Chain): Promise<void> {
  const [created] = await client.getContractEvents({
    address: deployment.contracts.channelEscrow,
    abi: channelEscrowAbi,
    eventName: "ChannelCreated",
    strict: true,
    fromBlock: 0n,
  });
  const { channelId, config } = created!.args;
  await send(node, "channelEscrow", "refund", [config, 999n]);
  await send(payer, "channelEscrow", "initiateWithdraw", [config, 5_000n]);
  await pass(withdrawDelaySeconds);
  await send(holder, "channelEscrow", "finalizeWithdraw", [config]);
  await send(payer, "channelEscrow", "deposit", [channelId, 77n]);
  await send(payer, "channelEscrow", "initiateWithdraw", [config, 77n]);
}

/** Epoch 1: taken back, rejected by ruling for one leaf, wrongly disputed, final, claimed. Epoch 2: rejected by silence, open again. */
async function closeEpochs(chain: Chain): Promise<void> {
  const { send, pass, deployment } = chain;
  const { challengeWindowSeconds, arbitrationTimeoutSeconds } = deployment.config;
  await send(holder, "rewardDistributor", "fund", [1_000n]);
  const tree = rewardTree(deployment);
  await propose(chain, tree, { epoch: 1n, fromBlock: 0n });
  await send(poster, "attributionLedger", "withdrawEpoch", [1n]);
  const wrong = await propose(chain, tree, { epoch: 1n, fromBlock: 0n });
  const account = devAccount(contributor).address;
  const leaf = { account, cumulative: BigInt(100 * contributor), proof: tree.getProof(0) };
  await send(disputer, "attributionLedger", "disputeLeaf", [1n, wrong, leaf, 1, "0xbad0"]);
  await send(poster, "attributionLedger", "resolveDispute", [1n, true]);
  const header = await propose(chain, tree, { epoch: 1n, fromBlock: 0n });
  await send(disputer, "attributionLedger", "dispute", [1n, 2, "0x"]);
  await send(poster, "attributionLedger", "resolveDispute", [1n, false]);
  await pass(challengeWindowSeconds);
  await send(holder, "attributionLedger", "finalize", [1n, header]);
  await send(disputer, "attributionLedger", "withdrawBond", []);
  await claimAll(chain, tree);
  await propose(chain, tree, { epoch: 2n, fromBlock: header.toBlock });
  await send(disputer, "attributionLedger", "dispute", [2n, 3, "0xff"]);
  await pass(arbitrationTimeoutSeconds);
  await send(holder, "attributionLedger", "rejectUnresolved", [2n]);
  const refuted = await propose(chain, tree, { epoch: 2n, fromBlock: header.toBlock });
  await relayVerdict(chain, refuted.daRef, 6);
  await send(claimer, "attributionLedger", "proveCertificateInvalid", [2n, refuted]);
  await propose(chain, tree, { epoch: 2n, fromBlock: header.toBlock });
}

type RewardTree = ReturnType<typeof rewardTree>;

function rewardTree({ chainId, contracts }: TestDeployment) {
  const rows = [contributor, validator, claimer].map((who) => [
    chainId,
    contracts.rewardDistributor,
    devAccount(who).address,
    `${100 * who}`,
  ]);
  return StandardMerkleTree.of(rows, ["uint256", "address", "address", "uint256"]);
}

type Range = { epoch: bigint; fromBlock: bigint };

/** @returns the header, which later calls bring along. */
async function propose({ send, client }: Chain, tree: RewardTree, range: Range) {
  const toBlock = (await client.getBlockNumber()) - 1n;
  const header = headerOf(tree, range, toBlock);
  await send(poster, "attributionLedger", "propose", [range.epoch, header, "0xce"]);
  return header;
}

function headerOf(tree: RewardTree, { fromBlock }: Range, toBlock: bigint) {
  return {
    rewardRoot: tree.root as Hex,
    attributionRoot: keccak256(toHex("attribution")),
    receiptsAccumulator: keccak256(toHex("accumulator")),
    rootTotal: 900n,
    fromBlock,
    toBlock,
    methodHash: keccak256(toHex("method")),
    contentHash: keccak256(toHex("content")),
    daRef: keccak256("0xce"),
  };
}

/** By anyone, by a claimer to elsewhere, and many at once of which one was paid before. */
async function claimAll({ send }: Chain, tree: RewardTree): Promise<void> {
  const items = [...tree.entries()].map(([index, [, , account, cumulative]]) => ({
    account: account as Address,
    cumulative: BigInt(cumulative as string),
    proof: tree.getProof(index) as Hex[],
  }));
  const [first, second, third] = items as [(typeof items)[0], (typeof items)[0], (typeof items)[0]];
  await send(holder, "rewardDistributor", "claim", [first.account, first.cumulative, first.proof]);
  await send(validator, "rewardDistributor", "setClaimer", [devAccount(claimer).address]);
  const recipient = devAccount(holder).address;
  await send(claimer, "rewardDistributor", "claimTo", [
    second.account,
    recipient,
    second.cumulative,
    second.proof,
  ]);
  await send(holder, "rewardDistributor", "claimMany", [[first, third]]);
}
