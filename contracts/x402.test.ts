/**
 * Stock x402 packages, at the addresses they have as constants, against our escrow, collector and hub on a real chain:
 * the client signs, the facilitator checks and sends deposits, the hub claims and settles. No payload is made by us.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PaymentPayload, PaymentRequirements } from "@x402/core/types";
import { toClientEvmSigner, toFacilitatorEvmSigner } from "@x402/evm";
import { BatchSettlementEvmScheme as StockClient } from "@x402/evm/batch-settlement/client";
import { BatchSettlementEvmScheme as StockFacilitator } from "@x402/evm/batch-settlement/facilitator";
import { type Address, type Hex, keccak256, parseEther, toFunctionSelector, toHex, zeroHash } from "viem";
import { afterAll, beforeAll, expect, it } from "vitest";
import { channelEscrowAbi } from "#schema/abi/channel-escrow";
import { modelRegistryAbi } from "#schema/abi/model-registry";
import { openTokenAbi } from "#schema/abi/open-token";
import { rewardDistributorAbi } from "#schema/abi/reward-distributor";
import { settlementHubAbi } from "#schema/abi/settlement-hub";
import {
  chainClient,
  deployContracts,
  devAccount,
  startAnvil,
  type TestChain,
  type TestDeployment,
  walletClient,
} from "#schema/testing/stack";
import { compactClaim } from "../serving/payment/voucher.ts";
import { x402Addresses } from "./deploy.ts";

/** An OP Stack chain has it from genesis; anvil does not. The stock facilitator reads through it. */
const multicall3 = "0xcA11bde05977b3631167028862bE2a173976CA11";
const network = "eip155:31337";
const feeWei = parseEther("1");
const [payers, node, facilitatorAccount, holder] = [
  [devAccount(3), devAccount(4)],
  devAccount(5),
  devAccount(6),
  devAccount(9),
] as const;

let folder: string;
let anvil: TestChain;
let deployment: TestDeployment;
let client: ReturnType<typeof chainClient>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tributary-x402-"));
  anvil = await startAnvil();
  client = chainClient(anvil.rpcUrl);
  deployment = await deployContracts({ rpcUrl: anvil.rpcUrl, folder, config: { escrowPlace: "x402" } });
  await placeMulticall3();
  const { openToken, modelRegistry } = deployment.contracts;
  for (const payer of payers) {
    const args = [payer.address, parseEther("100")] as const;
    await send(holder, { address: openToken, abi: openTokenAbi, functionName: "transfer", args });
  }
  const registry = { address: modelRegistry, abi: modelRegistryAbi } as const;
  const terms = { artifactHash: zeroHash, configHash: zeroHash, trainingDataRoot: zeroHash };
  const params = {
    ...terms,
    tokenizerHash: zeroHash,
    ownerBps: 10_000,
    provenanceMode: 0,
    pricePerCall: 1n,
    uri: "",
  };
  await send(node, { ...registry, functionName: "registerModel", args: ["base", 0, params, []] });
  await send(node, { ...registry, functionName: "registerServingNode", args: [node.address, zeroHash, ""] });
});

afterAll(async () => {
  await anvil?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

it("stands where stock clients look for it, and says what they compute", async () => {
  expect(deployment.contracts).toMatchObject(x402Addresses);
  const { channelConfig, voucher } = await pay(new StockClient(signerOf(payers[0])), "999");
  expect(await readEscrow("getChannelId", [channelConfig])).toBe(voucher.channelId);
});

it("lets stock clients pay two calls each through the hub, which claims and settles them in one batch", async () => {
  const clients = payers.map((payer) => new StockClient(signerOf(payer)));
  const facilitator = stockFacilitator();
  const paid: Paid[] = [];
  for (const stock of clients) {
    const first = await pay(stock);
    expect(first.type).toBe("deposit");
    expect(await facilitator.verify(first.payload, requirements())).toMatchObject({ isValid: true });
    const settled = await facilitator.settle(first.payload, requirements());
    expect(settled).toMatchObject({ success: true, amount: (5n * feeWei).toString() });
    const extra = { chargedAmount: feeWei.toString(), ...settled.extra };
    await stock.schemeHooks.onPaymentResponse?.(responseOf(first.payload, extra));
    const second = await pay(stock);
    expect(second.type).toBe("voucher");
    expect(second.voucher.maxClaimableAmount).toBe((2n * feeWei).toString());
    expect(await facilitator.verify(second.payload, requirements())).toMatchObject({ isValid: true });
    paid.push(second);
  }
  await settleInHub(paid);
  const { settlementHub, openToken, channelEscrow, rewardDistributor } = deployment.contracts;
  for (const { voucher } of paid) {
    expect(await readEscrow("channels", [voucher.channelId])).toEqual([5n * feeWei, 2n * feeWei]);
  }
  expect(await readEscrow("receivers", [settlementHub, openToken])).toEqual([4n * feeWei, 4n * feeWei]);
  expect(await balanceOf(channelEscrow)).toBe(6n * feeWei);
  expect(await balanceOf(settlementHub)).toBe((4n * feeWei * 20n) / 100n);
  const funded = {
    address: rewardDistributor,
    abi: rewardDistributorAbi,
    functionName: "totalFunded",
  } as const;
  expect(await client.readContract(funded)).toBe((4n * feeWei * 75n) / 100n);
});

it("lets a stock client that lost everything go on from the chain", async () => {
  const { type, voucher } = await pay(new StockClient(signerOf(payers[0])));
  expect(type).toBe("voucher");
  expect(voucher.maxClaimableAmount).toBe((3n * feeWei).toString());
});

it("lets the stock facilitator give a payer back what the hub did not claim", async () => {
  const { payload, channelConfig, voucher } = await pay(new StockClient(signerOf(payers[1])));
  const before = await balanceOf(payers[1].address);
  const refund = { type: "refund", channelConfig, voucher, amount: "1000000000000000000000" };
  const enriched = { ...payload, payload: { ...refund, refundNonce: "0", claims: [] } };
  expect(await stockFacilitator().settle(enriched, requirements())).toMatchObject({
    success: true,
    amount: (3n * feeWei).toString(),
  });
  expect((await balanceOf(payers[1].address)) - before).toBe(3n * feeWei);
});

it("refuses what a stock facilitator claims for the hub past the hub", async () => {
  const paid = await pay(new StockClient(signerOf(payers[0])));
  const claimed = await stockFacilitator().settle(claimPayload(paid), requirements());
  expect(claimed).toMatchObject({ success: false });
  expect(claimed.errorMessage).toContain(toFunctionSelector("NotReceiver(address)"));
});

it("lets the stock facilitator claim and settle for a receiver without code", async () => {
  const plain = requirements(devAccount(0).address);
  const facilitator = stockFacilitator();
  const paid = await pay(new StockClient(signerOf(payers[0])), undefined, plain);
  expect(await facilitator.settle(paid.payload, plain)).toMatchObject({ success: true });
  expect(await facilitator.settle(claimPayload(paid), plain)).toMatchObject({ success: true });
  const settle = { type: "settle", receiver: plain.payTo, token: plain.asset };
  const settled = await facilitator.settle({ ...paid.payload, payload: settle }, plain);
  expect(settled).toMatchObject({ success: true, amount: feeWei.toString() });
  expect(await balanceOf(devAccount(0).address)).toBe(feeWei);
});

type Config = {
  payer: Address;
  payerAuthorizer: Address;
  receiver: Address;
  receiverAuthorizer: Address;
  token: Address;
  withdrawDelay: number;
  salt: Hex;
};
type Voucher = { channelId: Hex; maxClaimableAmount: string; signature: Hex };
type Paid = { payload: PaymentPayload; type: string; channelConfig: Config; voucher: Voucher };

/** What a server that sells through the hub answers with 402. */
function requirements(payTo: Address = deployment.contracts.settlementHub): PaymentRequirements {
  return {
    scheme: "batch-settlement",
    network,
    asset: deployment.contracts.openToken,
    amount: feeWei.toString(),
    payTo,
    maxTimeoutSeconds: 3_600,
    extra: { name: "Tributary OPEN", version: "1", receiverAuthorizer: node.address, withdrawDelay: 900 },
  };
}

async function pay(stock: StockClient, amount = feeWei.toString(), due = requirements()): Promise<Paid> {
  const accepted = { ...due, amount };
  const made = await stock.createPaymentPayload(2, accepted);
  const payload = { x402Version: 2, accepted, payload: made.payload } as PaymentPayload;
  return { payload, ...(made.payload as Omit<Paid, "payload">) };
}

function claimPayload({ payload, channelConfig, voucher }: Paid): PaymentPayload {
  const { maxClaimableAmount, signature } = voucher;
  const claim = { voucher: { channel: channelConfig, maxClaimableAmount }, signature };
  return { ...payload, payload: { type: "claim", claims: [{ ...claim, totalClaimed: maxClaimableAmount }] } };
}

async function settleInHub(paid: Paid[]): Promise<void> {
  const { settlementHub, modelRegistry } = deployment.contracts;
  const registered = { address: modelRegistry, abi: modelRegistryAbi, eventName: "ModelRegistered" } as const;
  const [model] = await client.getContractEvents({ ...registered, strict: true, fromBlock: 0n });
  const claims = paid.map(({ channelConfig, voucher: { signature, ...voucher } }) => {
    const maxClaimableAmount = BigInt(voucher.maxClaimableAmount);
    const claim = { maxClaimableAmount, totalClaimed: maxClaimableAmount, signature };
    return compactClaim(channelConfig, claim);
  });
  const amount = claims.reduce((sum, { totalClaimed }) => sum + totalClaimed, 0n);
  const totals = [{ modelId: model!.args.modelId, amount, calls: 4 }];
  const receiptsRoot = keccak256(toHex("receipts"));
  const args = [node.address, claims, [], totals, receiptsRoot, zeroHash, "0xda"] as const;
  await send(node, { address: settlementHub, abi: settlementHubAbi, functionName: "submitBatch", args });
}

function signerOf(account: ReturnType<typeof devAccount>) {
  return toClientEvmSigner(account, client as never);
}

function stockFacilitator(): StockFacilitator {
  const wallet = walletClient(anvil.rpcUrl, facilitatorAccount);
  const signer = {
    address: facilitatorAccount.address,
    readContract: client.readContract,
    verifyTypedData: client.verifyTypedData,
    waitForTransactionReceipt: client.waitForTransactionReceipt,
    getCode: client.getCode,
    writeContract: (call: object) => wallet.writeContract({ ...call, chain: null } as never),
    sendTransaction: (call: object) => wallet.sendTransaction({ ...call, chain: null } as never),
  };
  return new StockFacilitator(toFacilitatorEvmSigner(signer as never), node as never);
}

/** What the stock HTTP client hands to the scheme when the answer came. */
function responseOf(payload: PaymentPayload, extra: Record<string, unknown>) {
  const settleResponse = { success: true, transaction: zeroHash, network, extra };
  return { paymentPayload: payload, requirements: payload.accepted, settleResponse } as never;
}

type Sending = Parameters<ReturnType<typeof chainClient>["simulateContract"]>[0];

async function send(account: ReturnType<typeof devAccount>, call: unknown): Promise<void> {
  const { request } = await client.simulateContract({ ...(call as Sending), account });
  const wallet = walletClient(anvil.rpcUrl, account);
  const hash = await wallet.writeContract({ ...(request as object), chain: null } as never);
  await client.waitForTransactionReceipt({ hash });
}

function readEscrow(functionName: string, args: readonly unknown[]): Promise<unknown> {
  const address = deployment.contracts.channelEscrow;
  return client.readContract({ address, abi: channelEscrowAbi, functionName, args } as never);
}

function balanceOf(account: Address): Promise<bigint> {
  const address = deployment.contracts.openToken;
  return client.readContract({ address, abi: openTokenAbi, functionName: "balanceOf", args: [account] });
}

/** viem carries its creation code for calls without deployment, but does not export it. */
async function placeMulticall3(): Promise<void> {
  const path = new URL("../node_modules/viem/_esm/constants/contracts.js", import.meta.url).href;
  const { multicall3Bytecode } = (await import(path)) as { multicall3Bytecode: Hex };
  const wallet = walletClient(anvil.rpcUrl, facilitatorAccount);
  const hash = await wallet.sendTransaction({ chain: null, data: multicall3Bytecode });
  const { contractAddress } = await client.waitForTransactionReceipt({ hash });
  const bytecode = await client.getCode({ address: contractAddress! });
  await client.setCode({ address: multicall3, bytecode: bytecode! });
}
