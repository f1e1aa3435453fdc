/** What may happen in a random life to channels: to the hub, or to a node that is its own receiver, as x402 has it. */
import { type Hex, zeroAddress } from "viem";
import { devAccount } from "#schema/testing/stack";
import { typedData } from "#serving/payment/voucher";
import { type Call, type Channel, type Happening, type Life, read } from "./life.ts";

const address = (who: number) => devAccount(who).address;
const withdrawDelaySeconds = 900;
const depositWeiMax = 100_000n;

const openChannel = async (life: Life): Promise<Call | null> => {
  const { draw, memory, deployment } = life;
  const [payer, node] = [draw.actor(), draw.actor()];
  const config = {
    payer: address(payer),
    payerAuthorizer: zeroAddress,
    receiver: draw.chance(75) ? deployment.contracts.settlementHub : address(node),
    receiverAuthorizer: address(node),
    token: deployment.contracts.openToken,
    withdrawDelay: draw.chance(90) ? withdrawDelaySeconds : 1,
    salt: draw.bytes32(),
  };
  const channelId = await read<Hex>(life, "channelEscrow", "getChannelId", [config]);
  return {
    who: draw.chance(90) ? payer : draw.actor(),
    contract: "channelEscrow",
    functionName: "openChannel",
    args: [config, draw.wei(depositWeiMax)],
    after: () => void memory.channels.push({ config, channelId, payer, node }),
  };
};

const useChannel = async ({ draw, memory }: Life): Promise<Call | null> => {
  const channel = draw.pick(memory.channels);
  if (channel === undefined) return null;
  const { config, channelId, payer, node } = channel;
  const amount = draw.wei(depositWeiMax);
  const choices: [number, string, unknown[]][] = [
    [draw.actor(), "deposit", [channelId, amount]],
    [node, "refund", [config, amount]],
    [payer, "initiateWithdraw", [config, amount / 3n]],
    [draw.actor(), "finalizeWithdraw", [config]],
  ];
  const [who, functionName, args] = draw.pick(choices)!;
  return { who, contract: "channelEscrow", functionName, args };
};

/** A receiver, or with its signature anybody, claims what a voucher allows; then it is settled with. */
const claimOneself = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const channel = draw.pick(memory.channels.filter(({ config, node }) => config.receiver === address(node)));
  if (channel === undefined) return null;
  const { config, node } = channel;
  if (draw.chance(30)) {
    const args = [config.receiver, config.token];
    return { who: draw.actor(), contract: "channelEscrow", functionName: "settle", args };
  }
  const { claimed, left } = await stateOf(life, channel);
  const total = claimed + draw.wei(left + 1n); // One more than there is, at most.
  const { signature } = await voucherOf(life, channel, total, draw.chance(95));
  const claims = [
    { voucher: { channel: config, maxClaimableAmount: total }, signature, totalClaimed: total },
  ];
  const who = draw.chance(90) ? node : draw.actor();
  if (draw.chance(50)) return { who, contract: "channelEscrow", functionName: "claim", args: [claims] };
  const hash = await read<Hex>(life, "channelEscrow", "getClaimBatchDigest", [claims]);
  const args = [claims, await devAccount(who).sign({ hash })];
  return { who: draw.actor(), contract: "channelEscrow", functionName: "claimWithSignature", args };
};

/** Of a node that says so by signature. */
const refundBySignature = async (life: Life): Promise<Call | null> => {
  const { draw, memory } = life;
  const channel = draw.pick(memory.channels);
  if (channel === undefined) return null;
  const { config, channelId, node } = channel;
  const amount = draw.wei(depositWeiMax / 10n);
  const nonce = await read<bigint>(life, "channelEscrow", "refundNonce", [channelId]);
  const hash = await read<Hex>(life, "channelEscrow", "getRefundDigest", [channelId, nonce, amount]);
  const args = [
    config,
    amount,
    nonce,
    await devAccount(draw.chance(90) ? node : draw.actor()).sign({ hash }),
  ];
  return { who: draw.actor(), contract: "channelEscrow", functionName: "refundWithSignature", args };
};

export async function stateOf(
  life: Life,
  { channelId }: Channel,
): Promise<{ claimed: bigint; left: bigint }> {
  const state = await read<readonly bigint[]>(life, "channelEscrow", "channels", [channelId]);
  const [balance, claimed] = state as [bigint, bigint];
  return { claimed, left: balance - claimed };
}

/** Cumulative, by the payer, or by another whom the escrow must refuse. */
export async function voucherOf({ deployment }: Life, channel: Channel, total: bigint, isPayers: boolean) {
  const voucher = { channelId: channel.channelId, maxClaimableWei: total };
  const typed = typedData(deployment.contracts.channelEscrow, BigInt(deployment.chainId), voucher);
  const signer = devAccount(isPayers ? channel.payer : 7);
  return { maxClaimableAmount: total, totalClaimed: total, signature: await signer.signTypedData(typed) };
}

/** Weight → what happens that often. */
export const happenings: [weight: number, happening: Happening][] = [
  [4, openChannel],
  [8, useChannel],
  [6, claimOneself],
  [3, refundBySignature],
];
