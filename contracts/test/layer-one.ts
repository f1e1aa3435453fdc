/** Layer 1 for tests on one chain: a local messenger at the predeploy's address, whose messages are relayed by hand. */
import { encodeFunctionData, type Hex, parseEther } from "viem";
import { bytecodes } from "#contracts/bytecode.generated";
import { daCertMirrorAbi } from "#schema/abi/da-cert-mirror";
import { localMessengerAbi } from "#schema/abi/local-messenger";
import { devAccount, walletClient } from "#schema/testing/stack";
import type { Chain as FullChain } from "./life.ts";

type Chain = Pick<FullChain, "client" | "deployment" | "rpcUrl">;

/** Layer 1's messenger, as the local one names it, and what the OP Stack makes of its address on layer 2. */
const otherMessenger = "0x00000000000000000000000000000000000000a1";
const aliased = "0x11110000000000000000000000000000000011b2";
const relayGas = 200_000n;

/** The anchor's verdict on a certificate arrives at the mirror. `status` 1 or 6. */
export async function relayVerdict(chain: Chain, daRef: Hex, status: number): Promise<void> {
  const { client, deployment } = chain;
  const { daCertMirror } = deployment.contracts;
  const read = { address: daCertMirror, abi: daCertMirrorAbi } as const;
  const messenger = await client.readContract({ ...read, functionName: "messenger" });
  const anchor = await client.readContract({ ...read, functionName: "anchor" });
  await placeMessenger(chain, messenger);
  await client.setBalance({ address: aliased, value: parseEther("1") });
  await client.impersonateAccount({ address: aliased });
  const message = encodeFunctionData({
    abi: daCertMirrorAbi,
    functionName: "onVerified",
    args: [daRef, status, 7n],
  });
  const data = encodeFunctionData({
    abi: localMessengerAbi,
    functionName: "relayMessage",
    args: [0n, anchor, daCertMirror, 0n, relayGas, message],
  });
  const params = [{ from: aliased, to: messenger, data }] as const;
  const hash = await client.request({ method: "eth_sendTransaction", params } as never);
  await client.waitForTransactionReceipt({ hash });
}

async function placeMessenger({ client, rpcUrl }: Chain, address: Hex): Promise<void> {
  if ((await client.getCode({ address })) !== undefined) return;
  const hash = await walletClient(rpcUrl, devAccount(0)).deployContract({
    abi: localMessengerAbi,
    bytecode: bytecodes.localMessenger,
    args: [otherMessenger],
    chain: null,
  });
  const { contractAddress } = await client.waitForTransactionReceipt({ hash });
  const code = await client.getCode({ address: contractAddress! });
  await client.setCode({ address, bytecode: code! });
}
