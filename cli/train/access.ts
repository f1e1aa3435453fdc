import type { Address } from "viem";
import { datanetRegistryAbi } from "#schema/abi/datanet-registry";
import { PipelineError } from "#schema/errors";
import type { Chain } from "../chain/transactions.ts";

/**
 * Whoever asked a Datanet's owner for access must have been granted it, and not too long ago. The registry keeps grants
 * on the record; a Datanet nobody has to ask for has no requests.
 * @throws AccessMissingError
 */
export async function assertAccess(
  chain: Chain,
  account: Address,
  datanetIds: readonly bigint[],
): Promise<void> {
  const address = chain.deployment.contracts.datanetRegistry;
  const { timestamp } = await chain.client.getBlock();
  for (const datanetId of datanetIds) {
    const requests = await chain.client.getContractEvents({
      address,
      abi: datanetRegistryAbi,
      eventName: "AccessRequested",
      args: { datanetId, account },
      fromBlock: 0n,
    });
    if (requests.length === 0) continue;
    const call = { address, abi: datanetRegistryAbi, functionName: "accessUntil" } as const;
    const until = await chain.client.readContract({ ...call, args: [datanetId, account] });
    if (until <= timestamp) throw new AccessMissingError(datanetId, account, until);
  }
}

export class AccessMissingError extends PipelineError {
  override readonly name = "AccessMissingError";
  constructor(datanetId: bigint, account: Address, until: bigint) {
    const state =
      until === 0n
        ? "its owner has not granted it, or took it back"
        : `it ended at ${new Date(Number(until) * 1_000).toISOString()}`;
    super(
      `${account} asked for access to Datanet ${datanetId}, and ${state}. Ask its owner for a grant (DatanetRegistry.grantAccess), then train again.`,
      { code: "access_missing", retryable: true },
    );
  }
}
