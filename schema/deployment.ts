import { readFileSync } from "node:fs";
import { type Address, isAddress } from "viem";
import { z } from "zod";
import { PipelineError } from "./errors.ts";

const address = z.custom<Address>((value) => typeof value === "string" && isAddress(value), "not an address");

const deploymentFile = z.object({
  chainId: z.int().positive(),
  /** Block of the first deployment: indexing starts there. */
  deployBlock: z.int().nonnegative(),
  contracts: z.object({
    openToken: address,
    stakeVault: address,
    datanetRegistry: address,
    modelRegistry: address,
    channelEscrow: address,
    rewardDistributor: address,
    settlementHub: address,
    attributionLedger: address,
    erc3009DepositCollector: address,
    timelock: address,
    permissions: address,
    datanetRegistryCode: address,
    modelRegistryCode: address,
    modelCurve: address,
    curveFactory: address,
    modelProposals: address,
    governor: address,
    daCertMirror: address,
    datanetDao: address,
    datanetDaoFactory: address,
  }),
});

/** Content of ADDRESSES_FILE, as contracts/deploy.ts writes it. */
export type Deployment = z.infer<typeof deploymentFile>;

/** @throws DeploymentFileError if the file is missing or is not what the deployment writes. */
export function readDeployment(path: string): Deployment {
  try {
    return deploymentFile.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    throw new DeploymentFileError(path, cause);
  }
}

export class DeploymentFileError extends PipelineError {
  override readonly name = "DeploymentFileError";
  constructor(path: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`${path} does not hold a deployment: ${reason} Deploy the contracts, or set ADDRESSES_FILE.`, {
      code: "deployment_file",
      retryable: false,
      cause,
    });
  }
}
