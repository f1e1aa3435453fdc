/** The market of models in the scripted life: three proposals, a curve that is traded, three reports. */
import {
  type Abi,
  encodeFunctionData,
  type Hex,
  keccak256,
  maxUint256,
  parseEther,
  toHex,
  zeroHash,
} from "viem";
import { abis } from "#contracts/deploy";
import { devAccount, walletClient } from "#schema/testing/stack";
import { type Chain, contributor, disputer, holder, node, poster, validator } from "./life.ts";

/** `modelId` is registered by the node, who proposes it. */
export async function trade(chain: Chain, modelId: Hex): Promise<void> {
  await propose(chain, modelId);
  await tradeCurve(chain, modelId);
  await report(chain, modelId);
}

const spec = {
  specHash: keccak256(toHex("spec")),
  uri: "ipfs://spec",
  datanetId: 1n,
  name: "Model",
  symbol: "MDL",
  curve: { baseWei: parseEther("0.01"), slopeWei: parseEther("0.001"), capTokens: 1_000, feeBps: 100 },
};

/** Accepted, rejected, lapsed. */
async function propose({ send, pass, deployment }: Chain, modelId: Hex): Promise<void> {
  const { contracts, config } = deployment;
  await send(holder, "openToken", "delegate", [devAccount(holder).address]);
  await send(holder, "openToken", "transfer", [devAccount(node).address, parseEther("100")]);
  for (const spender of [contracts.modelProposals, contracts.stakeVault]) {
    await send(node, "openToken", "approve", [spender, maxUint256]);
  }
  await pass(2);
  for (const _ of ["accepted", "rejected", "lapsed"]) await send(node, "modelProposals", "propose", [spec]);
  await send(holder, "modelProposals", "vote", [1n, true]);
  await send(holder, "modelProposals", "vote", [2n, false]);
  await pass(config.votingPeriodSeconds);
  for (const id of [1n, 2n, 3n]) await send(holder, "modelProposals", "resolve", [id]);
  await send(node, "modelProposals", "deployCurve", [1n, modelId, spec]);
  await send(node, "modelProposals", "withdrawBond", []);
}

async function tradeCurve(chain: Chain, modelId: Hex): Promise<void> {
  const { client, send } = chain;
  const curve = await curveOf(chain, modelId);
  const { timestamp } = await client.getBlock();
  const deadline = timestamp + 1_000n;
  const trader = devAccount(contributor).address;
  await send(contributor, "openToken", "approve", [curve, maxUint256]);
  const trades = [
    ["buy", [parseEther("10"), parseEther("1"), trader, deadline]],
    ["sell", [parseEther("4"), 0n, trader, deadline]],
    ["collectFees", []],
    ["approve", [trader, 5n]],
    ["buy", [1n, 10n, trader, deadline]],
  ] as const;
  for (const [functionName, args] of trades) {
    const call = { address: curve, abi: abis.modelCurve as Abi, functionName, args };
    const { request } = await client.simulateContract({ ...call, account: devAccount(contributor) });
    const wallet = walletClient(chain.rpcUrl, devAccount(contributor));
    const hash = await wallet.writeContract({ ...request, chain: null });
    await client.waitForTransactionReceipt({ hash });
  }
}

export async function curveOf({ client, deployment }: Chain, modelId: Hex): Promise<Hex> {
  const address = deployment.contracts.curveFactory;
  const call = { address, abi: abis.curveFactory, functionName: "curveOf" } as const;
  return client.readContract({ ...call, args: [modelId] });
}

/** Upheld and paid for by the one who stood behind the model; rejected; expired. */
async function report({ send, pass, client, deployment }: Chain, modelId: Hex): Promise<void> {
  const address = deployment.contracts.modelProposals;
  const call = { address, abi: abis.modelProposals, functionName: "scopeOf", args: [modelId] } as const;
  await send(node, "stakeVault", "stake", [await client.readContract(call), parseEther("1")]);
  await send(disputer, "openToken", "approve", [address, maxUint256]);
  for (const evidence of ["0x01", "0x02", "0x03"] as const) {
    await send(disputer, "modelProposals", "report", [modelId, evidence]);
  }
  await send(poster, "modelProposals", "resolveReport", [1n, true]);
  await send(holder, "modelProposals", "penalise", [1n, devAccount(node).address]);
  await send(poster, "modelProposals", "resolveReport", [2n, false]);
  await pass(deployment.config.arbitrationTimeoutSeconds);
  await send(validator, "modelProposals", "expireReport", [3n]);
}

/** What owners and the guardian may do besides, and the Timelock's last word. */
export async function govern(chain: Chain, modelId: Hex): Promise<void> {
  const { send, client, deployment } = chain;
  const { datanetRegistry, modelRegistry, timelock } = deployment.contracts;
  await send(node, "modelRegistry", "publishVersion", [modelId, zeroHash, zeroHash, "uri 2"]);
  await send(node, "modelRegistry", "setStatus", [modelId, 1]);
  await send(node, "modelRegistry", "setServiceTier", [modelId, 2]);
  await send(node, "modelRegistry", "transferOwnership", [modelId, devAccount(holder).address]);
  for (const name of ["settlementHub", "attributionLedger"] as const) {
    await send(poster, name, "pauseIntake", [600n]);
    await send(poster, name, "resumeIntake", []);
  }
  await client.setBalance({ address: timelock, value: parseEther("1") });
  await client.impersonateAccount({ address: timelock });
  const data = encodeFunctionData({ abi: abis.modelRegistry, functionName: "revokeUpgradeability" });
  for (const to of [datanetRegistry, modelRegistry]) {
    const params = [{ from: timelock, to, data }] as const;
    const hash = await client.request({ method: "eth_sendTransaction", params } as never);
    await client.waitForTransactionReceipt({ hash });
  }
}

/** Terms, rules, status, access of Datanet 1, by its owner; usage of epoch 1, by the poster. */
export async function tendDatanet({ send, client, deployment }: Chain): Promise<void> {
  const registry = "datanetRegistry";
  const call = {
    address: deployment.contracts[registry],
    abi: abis[registry],
    functionName: "paramsOf",
  } as const;
  const params = await client.readContract({ ...call, args: [1n] });
  await send(holder, registry, "updateParams", [1n, { ...params, quorumBps: 4_000 }]);
  await send(holder, registry, "setRules", [1n, keccak256(toHex("format")), keccak256(toHex("rule"))]);
  await send(holder, registry, "setStatus", [1n, 1]);
  const expiresAt = (await client.getBlock()).timestamp + 86_400n;
  for (const id of [1n, 2n, 3n]) {
    await send(disputer, registry, "requestAccess", [1n, zeroHash, "to train"]);
    if (id < 3n) await send(holder, registry, "grantAccess", [id, expiresAt + id, "0xce11"]);
  }
  for (const id of [2n, 3n]) await send(holder, registry, "refuseAccess", [id, zeroHash]);
  const usageRoot = keccak256(toHex("usage"));
  await send(poster, registry, "recordUsage", [1n, [{ datanetId: 1n, usageRoot, amount: 5n }]]);
  await send(holder, registry, "setRules", [1n, keccak256(toHex("format 2")), keccak256(toHex("rule"))]);
}
