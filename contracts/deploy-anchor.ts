/** Deploys the anchor of certificates on layer 1. Its address follows from the key, so layer 2 is deployed with it first. */
import {
  type Address,
  createPublicClient,
  createWalletClient,
  encodeDeployData,
  getAddress,
  getContractAddress,
  http,
  type LocalAccount,
} from "viem";
import { daCertAnchorAbi } from "#schema/abi/da-cert-anchor";
import { bytecodes } from "./bytecode.generated.ts";
import { DeploymentMismatchError } from "./deploy.ts";

/** EigenDA's certificate verifier or router, the OP Stack's L1CrossDomainMessenger, and DaCertMirror on layer 2. */
export type AnchorConfig = { verifier: Address; messenger: Address; mirror: Address };

/** Where `deployer` deploys the anchor on layer 1: with its first transaction there. */
export function anchorAddress(deployer: Address): Address {
  return getContractAddress({ from: deployer, nonce: 0n });
}

/**
 * Deploys the anchor if it is missing, and compares it with `config`.
 *
 * @throws DeploymentMismatchError if another contract stands in its place or has other parameters.
 */
export async function deployAnchor({
  rpcUrl,
  account,
  config,
}: {
  rpcUrl: string;
  account: LocalAccount;
  config: AnchorConfig;
}): Promise<Address> {
  const client = createPublicClient({ transport: http(rpcUrl), pollingInterval: 100 });
  const address = anchorAddress(account.address);
  if ((await client.getCode({ address })) === undefined) {
    const { verifier, messenger, mirror } = config;
    const args = [verifier, messenger, mirror] as const;
    const data = encodeDeployData({ abi: daCertAnchorAbi, bytecode: bytecodes.daCertAnchor, args });
    const wallet = createWalletClient({ account, transport: http(rpcUrl) });
    const hash = await wallet.sendTransaction({ chain: null, data, nonce: 0 });
    await client.waitForTransactionReceipt({ hash });
  }
  for (const getter of ["verifier", "messenger", "mirror"] as const) {
    const given = await client.readContract({ address, abi: daCertAnchorAbi, functionName: getter });
    if (given !== getAddress(config[getter]))
      throw new DeploymentMismatchError("daCertAnchor", getter, given, config[getter]);
  }
  return address;
}
