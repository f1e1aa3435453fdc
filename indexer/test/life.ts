/** A life of the contracts in which every indexed event happens, and every hostile value that anyone can post. */
import {
  type ContractFunctionName,
  encodeFunctionData,
  type Hex,
  keccak256,
  maxUint256,
  stringToHex,
  toHex,
  zeroAddress,
  zeroHash,
} from "viem";
import { abis, type ContractName } from "#contracts/deploy";
import { chainClient, devAccount, type TestDeployment, walletClient } from "#schema/testing/stack";
import { compactClaim } from "#serving/payment/voucher";
import { decide, governPermissions, joinForces } from "../../contracts/test/governance-life.ts";
import { relayVerdict } from "../../contracts/test/layer-one.ts";
import { authorize, connect } from "../../contracts/test/life.ts";
import { govern, trade } from "../../contracts/test/market-life.ts";

export const [owner, contributor, thief, validator, second, payer, node, treasury, poster, holder] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
] as const;
export const token = 10n ** 18n;
const uint32Max = 2 ** 32 - 1;

/**
 * Gas given to each call, instead of an estimate: a burn writes a vote checkpoint in place within the second of the last
 * one, and a new one later, so what is estimated in one second may not do in the next.
 */
const callGas = 5_000_000n;

export type Sender = ReturnType<typeof newSender>;

/** Sends as a development account and waits for the block; throws if it reverts. */
export function newSender(rpcUrl: string, { contracts }: Pick<TestDeployment, "contracts">) {
  const client = chainClient(rpcUrl);
  return {
    rpcUrl,
    client,
    contracts,
    async send<C extends ContractName, F extends ContractFunctionName<(typeof abis)[C], "nonpayable">>(
      from: number,
      contract: C,
      functionName: F,
      args: readonly unknown[],
    ) {
      const wallet = walletClient(rpcUrl, devAccount(from));
      const hash = await wallet.writeContract({
        chain: null,
        address: contracts[contract],
        abi: abis[contract],
        functionName,
        args,
        gas: callGas,
      } as never);
      const receipt = await client.waitForTransactionReceipt({ hash });
      if (receipt.status !== "success") throw new Error(`${contract}.${functionName} reverted`);
      return receipt;
    },
    read<T>(contract: ContractName, functionName: string, args: readonly unknown[] = []) {
      const call = { address: contracts[contract], abi: abis[contract], functionName, args };
      return client.readContract(call as never) as Promise<T>;
    },
    async warp(seconds: number) {
      await client.increaseTime({ seconds });
      await client.mine({ blocks: 1 });
    },
  };
}

const datanetParams = {
  minContributorStake: token,
  minValidatorStake: token,
  votingPeriodSeconds: 100n,
  quorumBps: 5_000,
  slashBps: 1_000,
  ownerBps: 1_000,
  validatorBps: 500,
};

export function scopeOf(sender: Sender, datanetId: bigint): Promise<Hex> {
  return sender.read("datanetRegistry", "scopeOf", [datanetId]);
}

/** Everyone gets tokens and lets the contracts take them. */
export async function fund(sender: Sender): Promise<void> {
  const { contracts, send } = sender;
  for (const index of [contributor, thief, validator, second, payer, poster]) {
    await send(holder, "openToken", "transfer", [devAccount(index).address, 1_000n * token]);
    const { stakeVault, channelEscrow, attributionLedger, settlementHub } = contracts;
    for (const spender of [stakeVault, channelEscrow, attributionLedger, settlementHub]) {
      await send(index, "openToken", "approve", [spender, maxUint256]);
    }
  }
}

/** Two Datanets, stakes, and a contribution for each outcome; the models; a channel. */
export async function firstHalf(sender: Sender): Promise<void> {
  await contributions(sender);
  await models(sender);
  await openChannel(sender, 1);
}

async function contributions(sender: Sender): Promise<void> {
  const { send, warp } = sender;
  const registry = "datanetRegistry";
  await send(owner, registry, "createDatanet", [
    label("meta"),
    "ipfs://\0null\u0007 and ünïcode",
    datanetParams,
  ]);
  const scope = await scopeOf(sender, 1n);
  for (const index of [contributor, thief, validator])
    await send(index, "stakeVault", "stake", [scope, 10n * token]);
  await send(validator, "stakeVault", "stakeFor", [scope, devAccount(second).address, 5n * token]);
  await warp(2);
  for (const index of [contributor, thief, contributor, contributor]) await submit(sender, index, 1n, 7);
  await send(validator, registry, "vote", [1n, true, 9_000]);
  await send(second, registry, "vote", [1n, true, 8_000]);
  for (const index of [validator, second]) await send(index, registry, "vote", [2n, false, 0]);
  await send(contributor, registry, "retract", [4n, label("mistake")]);
  await warp(101);
  for (const batchId of [1n, 2n, 3n]) await send(owner, registry, "resolve", [batchId]);
  // Nobody needs a stake here: the lock comes without one, with a number of items that no int4 holds.
  await send(owner, registry, "createDatanet", [zeroHash, "", { ...datanetParams, minContributorStake: 0n }]);
  await submit(sender, payer, 2n, uint32Max);
}

export async function submit(sender: Sender, from: number, datanetId: bigint, items: number) {
  const root = keccak256(toHex(`${from} ${Math.floor(performance.now() * 1e6)}`));
  const args = [datanetId, root, items, label("content"), label("MIT"), "0xda"];
  return await sender.send(from, "datanetRegistry", "submitContribution", args);
}

/** What owner, guardian and Timelock may do besides; each leaves an event. */
async function administer(sender: Sender): Promise<void> {
  const { client, contracts, send } = sender;
  const registry = "datanetRegistry";
  await send(owner, registry, "updateParams", [1n, { ...datanetParams, quorumBps: 4_000 }]);
  await send(owner, registry, "setRules", [1n, label("format"), label("rule")]);
  await send(owner, registry, "setStatus", [1n, 1]);
  await send(owner, registry, "setStatus", [1n, 0]);
  await send(payer, registry, "requestAccess", [1n, label("purpose"), "to train \0"]);
  await send(owner, registry, "grantAccess", [1n, 2n ** 40n, "0xce11"]);
  await send(owner, registry, "refuseAccess", [1n, label("misuse")]);
  const usage = { datanetId: 1n, usageRoot: label("usage"), amount: token };
  await send(poster, registry, "recordUsage", [1n, [usage]]);
  const base = await baseModel(sender);
  await send(owner, "modelRegistry", "publishVersion", [base, label("artifact 2"), label("eval"), "uri"]);
  await send(owner, "modelRegistry", "setStatus", [base, 1]);
  await send(owner, "modelRegistry", "setStatus", [base, 0]);
  for (const name of ["settlementHub", "attributionLedger"] as const) {
    await send(poster, name, "pauseIntake", [1n]);
    await send(poster, name, "resumeIntake", []);
  }
  const { timelock, datanetRegistry, modelRegistry } = contracts;
  await client.setBalance({ address: timelock, value: token });
  await client.impersonateAccount({ address: timelock });
  const data = encodeFunctionData({ abi: abis.modelRegistry, functionName: "revokeUpgradeability" });
  for (const to of [datanetRegistry, modelRegistry]) {
    const params = [{ from: timelock, to, data }] as const;
    const hash = await client.request({ method: "eth_sendTransaction", params } as never);
    await client.waitForTransactionReceipt({ hash });
  }
}

const baseParams = {
  artifactHash: label("artifact"),
  configHash: label("config"),
  trainingDataRoot: zeroHash,
  tokenizerHash: label("tokenizer"),
  ownerBps: 10_000,
  provenanceMode: 0,
  pricePerCall: 1n,
  uri: "file:model",
};

async function models(sender: Sender): Promise<void> {
  const { send } = sender;
  await send(owner, "modelRegistry", "registerModel", ["base", 0, baseParams, []]);
  const parents = [{ modelId: await baseModel(sender), weightBps: 10_000 }];
  await send(contributor, "modelRegistry", "registerModel", [
    "tuned",
    1,
    { ...baseParams, ownerBps: 6_000 },
    parents,
  ]);
  for (const root of [zeroHash, label("snapshot")]) {
    await send(owner, "modelRegistry", "useDatanet", [await baseModel(sender), 1n, root, root]);
  }
  await send(owner, "modelRegistry", "publishManifest", [
    await baseModel(sender),
    label("manifest"),
    "0xce47",
  ]);
  await send(node, "modelRegistry", "registerServingNode", [
    devAccount(node).address,
    zeroHash,
    "http://127.0.0.1",
  ]);
}

/** The id the contract computed, from its log. */
export async function baseModel(sender: Sender): Promise<Hex> {
  return (await modelsOf(sender))[0]!;
}

async function modelsOf({ client, contracts }: Sender): Promise<Hex[]> {
  const logs = await client.getContractEvents({
    address: contracts.modelRegistry,
    abi: abis.modelRegistry,
    eventName: "ModelRegistered",
    fromBlock: 0n,
  });
  return logs.map(({ args }) => args.modelId!);
}

export function channelConfig({ contracts }: Sender, salt: number) {
  return {
    payer: devAccount(payer).address,
    payerAuthorizer: zeroAddress,
    receiver: contracts.settlementHub,
    receiverAuthorizer: devAccount(node).address,
    token: contracts.openToken,
    withdrawDelay: 900,
    salt: toHex(salt, { size: 32 }),
  };
}

export async function openChannel(sender: Sender, salt: number): Promise<void> {
  await sender.send(payer, "channelEscrow", "openChannel", [channelConfig(sender, salt), 100n * token]);
}

/** Two batches, an epoch that is disputed twice, claims, and everyone leaves. */
export async function secondHalf(sender: Sender, deployment: TestDeployment): Promise<void> {
  await settle(sender, { salt: 1, totalWei: 10n * token, calls: uint32Max });
  await settle(sender, { salt: 1, totalWei: 25n * token, calls: 3 });
  await challengeReceipt(sender);
  await sender.send(owner, "settlementHub", "payNode", [devAccount(node).address]);
  await epochs(sender, deployment);
  await administer(sender);
  await leave(sender);
  await everythingElse(sender, deployment);
}

type Settling = { salt: number; totalWei: bigint; calls: number };

/** Claims up to `totalWei` of the channel, cumulative, as one batch of the base model. */
export async function settle(sender: Sender, { salt, totalWei, calls }: Settling): Promise<void> {
  const { read, send } = sender;
  const channelId = await read<Hex>("channelEscrow", "getChannelId", [channelConfig(sender, salt)]);
  const { totalClaimed } = await read<{ totalClaimed: bigint }>("channelEscrow", "channelOf", [channelId]);
  const hash = await read<Hex>("channelEscrow", "getVoucherDigest", [channelId, totalWei]);
  const signature = await devAccount(payer).sign({ hash });
  const claim = { maxClaimableAmount: totalWei, totalClaimed: totalWei, signature };
  const claims = [compactClaim(channelConfig(sender, salt), claim)];
  const totals = [{ modelId: await baseModel(sender), amount: totalWei - totalClaimed, calls }];
  const root = label(`receipts ${salt} ${totalWei}`);
  await send(node, "settlementHub", "submitBatch", [
    devAccount(node).address,
    claims,
    [],
    totals,
    root,
    label("content"),
    "0xda01",
  ]);
}

/**
 * A receipt of the node's that is in no batch, though its fee was claimed; nobody answers for it. While it waits, another
 * receipt of the same request proves a second fault.
 */
async function challengeReceipt(sender: Sender): Promise<void> {
  const { read, send, warp } = sender;
  const config = channelConfig(sender, 1);
  const receipt = {
    requestId: label("request"),
    payer: config.payer,
    node: config.receiverAuthorizer,
    modelId: await baseModel(sender),
    adapterSet: zeroHash,
    inputCommit: zeroHash,
    outputCommit: zeroHash,
    retrievalCommit: zeroHash,
    paramsHash: zeroHash,
    profileHash: zeroHash,
    provenanceMode: 0,
    promptTokens: 1,
    completionTokens: 1,
    fee: 1n,
    channelId: await read<Hex>("channelEscrow", "getChannelId", [config]),
    cumulativeCharged: 1n,
    servedAt: 1n,
  };
  const hash = await read<Hex>("settlementHub", "receiptDigest", [receipt]);
  const signature = await devAccount(node).sign({ hash });
  await send(payer, "settlementHub", "challengeMissing", [receipt, signature]);
  const other = { ...receipt, outputCommit: label("another answer") };
  const otherHash = await read<Hex>("settlementHub", "receiptDigest", [other]);
  const otherSignature = await devAccount(node).sign({ hash: otherHash });
  await send(payer, "settlementHub", "proveDouble", [receipt, signature, other, otherSignature]);
  await warp(61);
  await send(owner, "settlementHub", "resolveMissing", [hash]);
}

async function epochs(sender: Sender, deployment: TestDeployment): Promise<void> {
  const { send, warp } = sender;
  const account = devAccount(contributor).address;
  await propose(sender, token);
  await send(poster, "attributionLedger", "withdrawEpoch", [1n]);
  const wrong = await propose(sender, token);
  const leaf = { account, cumulative: token, proof: [] };
  await send(payer, "attributionLedger", "disputeLeaf", [1n, wrong, leaf, 3, "0xbad0"]);
  await send(poster, "attributionLedger", "resolveDispute", [1n, true]);
  await relayVerdict(connect({ rpcUrl: sender.rpcUrl, deployment }), keccak256(daCommitment), 6);
  const refuted = await propose(sender, token);
  await send(thief, "attributionLedger", "proveCertificateInvalid", [1n, refuted]);
  const header = await propose(sender, 2n * token);
  await send(payer, "attributionLedger", "dispute", [1n, 4, "0x"]);
  await send(poster, "attributionLedger", "resolveDispute", [1n, false]);
  await warp(5);
  await send(owner, "attributionLedger", "finalize", [1n, header]);
  await send(poster, "attributionLedger", "withdrawBond", []);
  await send(contributor, "rewardDistributor", "setClaimer", [devAccount(second).address]);
  await send(owner, "rewardDistributor", "claim", [account, 2n * token, []]);
  await send(thief, "rewardDistributor", "setClaimer", [zeroAddress]);
}

const daCommitment = "0xcafe";

/** Proposes epoch 1 whose only leaf gives the contributor `cumulativeWei`. */
async function propose(sender: Sender, cumulativeWei: bigint) {
  const { client, read, send } = sender;
  const account = devAccount(contributor).address;
  const header = {
    rewardRoot: await read<Hex>("rewardDistributor", "leafOf", [account, cumulativeWei]),
    attributionRoot: label(`attribution ${cumulativeWei}`),
    receiptsAccumulator: label("accumulator"),
    rootTotal: cumulativeWei,
    fromBlock: 0n,
    toBlock: (await client.getBlockNumber({ cacheTime: 0 })) - 1n,
    methodHash: label("method"),
    contentHash: label("provenance"),
    daRef: keccak256(daCommitment),
  };
  await send(poster, "attributionLedger", "propose", [1n, header, daCommitment]);
  return header;
}

/** The market, the DAO and governance, as the contracts' own tests live them: their node is our `second`. */
async function everythingElse(sender: Sender, deployment: TestDeployment): Promise<void> {
  const { send } = sender;
  const chain = connect({ rpcUrl: sender.rpcUrl, deployment });
  await send(owner, "datanetRegistry", "transferOwnership", [1n, devAccount(holder).address]);
  await send(second, "modelRegistry", "registerModel", ["market", 0, baseParams, []]);
  await send(second, "modelRegistry", "registerServingNode", [zeroAddress, zeroHash, "http://gone"]);
  await send(second, "modelRegistry", "retireServingNode", []);
  const registered = await modelsOf(sender);
  const modelId = registered.at(-1)!;
  await authorize(chain);
  await trade(chain, modelId);
  await joinForces(chain);
  await decide(chain);
  await governPermissions(chain);
  await govern(chain, modelId);
}

async function leave(sender: Sender): Promise<void> {
  const { read, send, warp } = sender;
  const channelId = await read<Hex>("channelEscrow", "getChannelId", [channelConfig(sender, 1)]);
  const config = channelConfig(sender, 1);
  await send(node, "channelEscrow", "refund", [config, token]);
  await send(payer, "channelEscrow", "initiateWithdraw", [config, 70n * token]);
  await settle(sender, { salt: 1, totalWei: 30n * token, calls: 1 });
  await send(validator, "stakeVault", "requestUnstake", [await scopeOf(sender, 1n)]);
  await send(validator, "stakeVault", "cancelUnstake", [await scopeOf(sender, 1n)]);
  await send(validator, "stakeVault", "requestUnstake", [await scopeOf(sender, 1n)]);
  await warp(86_401);
  await send(owner, "channelEscrow", "finalizeWithdraw", [config]);
  await send(validator, "stakeVault", "unstake", [await scopeOf(sender, 1n)]);
  await send(payer, "channelEscrow", "deposit", [channelId, token]);
}

export function label(text: string): Hex {
  return keccak256(stringToHex(text));
}
