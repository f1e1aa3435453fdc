/**
 * A certificate is disputed over two chains: layer 1 with a verifier behind EigenDA's interface, layer 2 with the
 * contracts. Between them stand local messengers that keep the OP Stack's interface; the test relays, in a deposit
 * transaction (type 0x7e), as a sequencer would.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Abi,
  type Address,
  bytesToHex,
  encodeFunctionData,
  getAddress,
  getContractAddress,
  type Hex,
  hexToBytes,
  keccak256,
  maxUint256,
  parseEther,
  parseEventLogs,
  toHex,
  zeroHash,
} from "viem";
import { serializeTransaction } from "viem/op-stack";
import { afterAll, beforeAll, expect, it } from "vitest";
import { daCertAnchorAbi } from "#schema/abi/da-cert-anchor";
import { localCertVerifierAbi } from "#schema/abi/local-cert-verifier";
import { localMessengerAbi } from "#schema/abi/local-messenger";
import {
  chainClient,
  deployContracts,
  devAccount,
  startAnvil,
  type TestChain,
  type TestDeployment,
  walletClient,
} from "#schema/testing/stack";
import { decodeCertificate } from "../eigenda/src/certificate/certificate.ts";
import { encodeCertificateAbi } from "../eigenda/src/certificate/certificate-abi.ts";
import vectors from "../vectors/certificate.json" with { type: "json" };
import { bytecodes } from "./bytecode.generated.ts";
import { abis } from "./deploy.ts";
import { anchorAddress, deployAnchor } from "./deploy-anchor.ts";

const [anchorDeployer, messengerDeployer, watcher, poster, holder] = [3, 4, 5, 8, 9] as const;
const [valid, invalid] = [1, 6] as const;
/** Of layer 1's contracts on layer 2. */
const aliasOffset = 0x1111000000000000000000000000000000001111n;
const daCommitment = vectors.daCommitment[1]! as Hex;

let folder: string;
let l1: TestChain;
let l2: TestChain;
let deployment: TestDeployment;
/** Made in this order on layer 1 by one key; the messengers know each other's address beforehand. */
let verifier: Address;
let l1Messenger: Address;
let l2Messenger: Address;
let anchor: Address;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tributary-da-cert-"));
  // The certificates' reference block lies behind.
  const genesis = vectors.referenceBlockNumber[0]! + 1;
  [l1, l2] = await Promise.all([startAnvil({ flags: ["--number", String(genesis)] }), startAnvil()]);
  const from = devAccount(messengerDeployer).address;
  l1Messenger = getContractAddress({ from, nonce: 1n });
  l2Messenger = getContractAddress({ from, nonce: 0n });
  await create(l2, localMessengerAbi, bytecodes.localMessenger, [l1Messenger]);
  verifier = await create(l1, localCertVerifierAbi, bytecodes.localCertVerifier, []);
  expect(await create(l1, localMessengerAbi, bytecodes.localMessenger, [l2Messenger])).toBe(l1Messenger);
  const daCertAnchor = anchorAddress(devAccount(anchorDeployer).address);
  const config = { messenger: l2Messenger, daCertAnchor, challengeWindowSeconds: 3_600 };
  deployment = await deployContracts({ rpcUrl: l2.rpcUrl, folder, config });
  const mirror = deployment.contracts.daCertMirror;
  const account = devAccount(anchorDeployer);
  const anchorConfig = { verifier, messenger: l1Messenger, mirror };
  anchor = await deployAnchor({ rpcUrl: l1.rpcUrl, account, config: anchorConfig });
});

afterAll(async () => {
  await Promise.all([l1?.[Symbol.asyncDispose](), l2?.[Symbol.asyncDispose]()]);
  await rm(folder, { recursive: true, force: true });
});

it("stands where layer 2 expects the anchor, and is deployed once", async () => {
  expect(anchor).toBe(anchorAddress(devAccount(anchorDeployer).address));
  const mirror = deployment.contracts.daCertMirror;
  const again = { rpcUrl: l1.rpcUrl, account: devAccount(anchorDeployer) };
  const config = { verifier, messenger: l1Messenger, mirror };
  expect(await deployAnchor({ ...again, config })).toBe(anchor);
  const wrong = deployAnchor({ ...again, config: { ...config, mirror: l2Messenger } });
  await expect(wrong).rejects.toThrow(/daCertAnchor.mirror/);
});

it("decodes the bytes of an event to what eigenda/ would give EigenDA's verifier", async () => {
  const decoded = decodeCertificate(hexToBytes(daCommitment));
  if (!decoded.ok) throw new Error(decoded.reason);
  const call = { address: anchor, abi: daCertAnchorAbi, functionName: "decode" } as const;
  const [abiEncoded, referenceBlock] = await chainClient(l1.rpcUrl).readContract({
    ...call,
    args: [daCommitment],
  });
  expect(abiEncoded).toBe(bytesToHex(encodeCertificateAbi(decoded.value)));
  expect(referenceBlock).toBe(decoded.value.referenceBlockNumber);
});

it("brings a verdict of layer 1 to layer 2, where an epoch with an invalid certificate falls", async () => {
  const header = await propose();
  await expect(prove(header)).rejects.toThrow(/CertificateNotInvalid/);
  const verdicts = await anchorAndRelay(daCommitment);
  expect(verdicts).toEqual([invalid]); // The local verifier knows nothing of it.
  await prove(header);
  const client = chainClient(l2.rpcUrl);
  const ledger = { address: deployment.contracts.attributionLedger, abi: abis.attributionLedger as Abi };
  const [status] = (await client.readContract({ ...ledger, functionName: "statusOf", args: [1n] })) as [
    number,
  ];
  expect(status).toBe(3);
  const args = [devAccount(watcher).address];
  const credit = await client.readContract({ ...ledger, functionName: "bondCredit", args });
  expect(credit).toBe(deployment.config.bondAmountWei / 2n);
});

it("brings the verdict on a good certificate too", async () => {
  const good = vectors.daCommitment[0]! as Hex;
  await send(l1, anchorDeployer, verifier, localCertVerifierAbi as Abi, "setStatus", [
    keccak256(vectors.abiEncoded[0]! as Hex),
    valid,
  ]);
  expect(await anchorAndRelay(good)).toEqual([valid]);
  expect(await verdictOf(keccak256(good))).toBe(valid);
});

it("takes no verdict from anyone but the anchor, nor from a messenger that is not its own", async () => {
  const message = verdictCall(keccak256("0x01"), invalid);
  const fromOther = deposit(devAccount(holder).address, message);
  await relay(aliased(l1Messenger), fromOther);
  await relay(aliased(verifier), deposit(anchor, message));
  expect(await verdictOf(keccak256("0x01"))).toBe(0);
});

/** Anchors on layer 1 and relays what its messenger sent. @returns the mirror's verdicts after each. */
async function anchorAndRelay(certificate: Hex): Promise<number[]> {
  const client = chainClient(l1.rpcUrl);
  const receipt = await send(l1, watcher, anchor, daCertAnchorAbi as Abi, "anchor", [certificate]);
  const sent = parseEventLogs({ abi: localMessengerAbi, logs: receipt.logs, eventName: "SentMessage" });
  expect(sent.map(({ args }) => [args.target, args.sender])).toEqual([
    [deployment.contracts.daCertMirror, anchor],
  ]);
  expect((await client.getTransactionReceipt({ hash: receipt.transactionHash })).status).toBe("success");
  const verdicts: number[] = [];
  for (const { args } of sent) {
    await relay(aliased(l1Messenger), deposit(args.sender, args.message));
    verdicts.push(await verdictOf(keccak256(certificate)));
  }
  return verdicts;
}

function deposit(sender: Address, message: Hex): Hex {
  return encodeFunctionData({
    abi: localMessengerAbi,
    functionName: "relayMessage",
    args: [0n, sender, deployment.contracts.daCertMirror, 0n, 200_000n, message],
  });
}

function verdictCall(daRef: Hex, status: number): Hex {
  return encodeFunctionData({
    abi: abis.daCertMirror,
    functionName: "onVerified",
    args: [daRef, status, 1n],
  });
}

function aliased(address: Address): Address {
  return toHex((BigInt(address) + aliasOffset) % 2n ** 160n, { size: 20 });
}

let depositCount = 0;

/** A deposit transaction has no signature: whoever derives layer 2 from layer 1 makes it. */
async function relay(from: Address, data: Hex): Promise<void> {
  const client = chainClient(l2.rpcUrl);
  const serialized = serializeTransaction({
    type: "deposit",
    sourceHash: keccak256(toHex(++depositCount)),
    from,
    to: l2Messenger,
    gas: 1_000_000n,
    data,
    isSystemTx: false,
  });
  const hash = await client.sendRawTransaction({ serializedTransaction: serialized });
  await client.waitForTransactionReceipt({ hash });
}

async function verdictOf(daRef: Hex): Promise<number> {
  const call = { address: deployment.contracts.daCertMirror, abi: abis.daCertMirror } as const;
  return await chainClient(l2.rpcUrl).readContract({ ...call, functionName: "verdictOf", args: [daRef] });
}

async function propose() {
  const { attributionLedger, openToken, rewardDistributor } = deployment.contracts;
  await send(l2, holder, openToken, abis.openToken as Abi, "transfer", [
    devAccount(poster).address,
    parseEther("1000"),
  ]);
  for (const [who, spender] of [
    [poster, attributionLedger],
    [holder, rewardDistributor],
  ] as const) {
    await send(l2, who, openToken, abis.openToken as Abi, "approve", [spender, maxUint256]);
  }
  await send(l2, holder, rewardDistributor, abis.rewardDistributor as Abi, "fund", [1_000n]);
  const header = {
    rewardRoot: keccak256(toHex("reward")),
    attributionRoot: keccak256(toHex("attribution")),
    receiptsAccumulator: zeroHash,
    rootTotal: 900n,
    fromBlock: 0n,
    toBlock: (await chainClient(l2.rpcUrl).getBlockNumber()) - 1n,
    methodHash: zeroHash,
    contentHash: zeroHash,
    daRef: keccak256(daCommitment),
  };
  const args = [1n, header, daCommitment];
  await send(l2, poster, attributionLedger, abis.attributionLedger as Abi, "propose", args);
  return header;
}

function prove(header: Awaited<ReturnType<typeof propose>>) {
  const { attributionLedger } = deployment.contracts;
  const abi = abis.attributionLedger as Abi;
  return send(l2, watcher, attributionLedger, abi, "proveCertificateInvalid", [1n, header]);
}

async function send(
  chain: TestChain,
  who: number,
  address: Address,
  abi: Abi,
  name: string,
  args: unknown[],
) {
  const client = chainClient(chain.rpcUrl);
  const account = devAccount(who);
  const { request } = await client.simulateContract({ account, address, abi, functionName: name, args });
  const wallet = walletClient(chain.rpcUrl, account);
  const hash = await wallet.writeContract({ ...request, chain: null, gas: 15_000_000n });
  return await client.waitForTransactionReceipt({ hash });
}

async function create(chain: TestChain, abi: readonly unknown[], bytecode: Hex, args: unknown[]) {
  const wallet = walletClient(chain.rpcUrl, devAccount(messengerDeployer));
  const hash = await wallet.deployContract({ abi: abi as Abi, bytecode, args, chain: null });
  const { contractAddress } = await chainClient(chain.rpcUrl).waitForTransactionReceipt({ hash });
  return getAddress(contractAddress!);
}
