import { type Hex, hashTypedData, keccak256, type LocalAccount, maxUint256, toHex, zeroAddress } from "viem";
import { channelEscrowAbi } from "#schema/abi/channel-escrow";
import { openTokenAbi } from "#schema/abi/open-token";
import { channelTypedData, encode, typedData } from "#serving/payment/voucher";
import { accountOf } from "../up/stack.ts";
import { type Call, type Chain, reach } from "./transactions.ts";

const withdrawDelaySeconds = 86_400;

/** Opens a channel to the node with `depositWei` for every development payer who has none. The payers hold gas. */
export async function openChannels(
  chain: Chain,
  payers: readonly LocalAccount[],
  depositWei: bigint,
): Promise<void> {
  const { channelEscrow } = chain.deployment.contracts;
  const missing = async () => {
    const isOpen = await Promise.all(payers.map((payer) => hasChannel(chain, payer)));
    return payers.filter((_, index) => !isOpen[index]);
  };
  await reach(chain, "fund the payers", async () => {
    const calls = (await missing()).map((payer) => missingFunds(chain, payer, depositWei));
    return (await Promise.all(calls)).flat();
  });
  await reach(chain, "open the channels", async () =>
    (await missing()).map((account): Call => {
      const args = [channelConfig(chain, account), depositWei];
      return { account, to: channelEscrow, abi: channelEscrowAbi, functionName: "openChannel", args };
    }),
  );
}

/** Header `x-payment-voucher` of a development payer's channel, for `maxClaimableWei` in all. */
export async function signVoucher(
  chain: Chain,
  payer: LocalAccount,
  maxClaimableWei: bigint,
): Promise<string> {
  const { chainId, contracts } = chain.deployment;
  const due = { channelId: channelIdOf(chain, payer), maxClaimableWei };
  const signature = await payer.signTypedData(typedData(contracts.channelEscrow, BigInt(chainId), due));
  return encode({ ...due, signature });
}

export async function hasChannel(chain: Chain, payer: LocalAccount): Promise<boolean> {
  const address = chain.deployment.contracts.channelEscrow;
  const args = [channelIdOf(chain, payer)] as const;
  const call = { address, abi: channelEscrowAbi, functionName: "channelOf", args } as const;
  return (await chain.client.readContract(call)).balance > 0n;
}

async function missingFunds(chain: Chain, payer: LocalAccount, depositWei: bigint): Promise<Call[]> {
  const { openToken, channelEscrow } = chain.deployment.contracts;
  const read = { address: openToken, abi: openTokenAbi } as const;
  const token = { to: openToken, abi: openTokenAbi };
  const [wei, allowedWei] = await Promise.all([
    chain.client.readContract({ ...read, functionName: "balanceOf", args: [payer.address] }),
    chain.client.readContract({ ...read, functionName: "allowance", args: [payer.address, channelEscrow] }),
  ]);
  const calls: Call[] = [];
  if (wei < depositWei) {
    const args = [payer.address, depositWei - wei];
    calls.push({ ...token, account: accountOf("deployer"), functionName: "transfer", args });
  }
  if (allowedWei < depositWei)
    calls.push({ ...token, account: payer, functionName: "approve", args: [channelEscrow, maxUint256] });
  return calls;
}

function channelConfig(chain: Chain, payer: LocalAccount) {
  const { settlementHub, openToken } = chain.deployment.contracts;
  return {
    payer: payer.address,
    payerAuthorizer: zeroAddress,
    receiver: settlementHub as Hex,
    receiverAuthorizer: accountOf("node").address,
    token: openToken as Hex,
    withdrawDelay: withdrawDelaySeconds,
    salt: keccak256(toHex("demo")),
  };
}

function channelIdOf(chain: Chain, payer: LocalAccount): Hex {
  const { chainId, contracts } = chain.deployment;
  const config = channelConfig(chain, payer);
  return hashTypedData(channelTypedData(contracts.channelEscrow, BigInt(chainId), config));
}
