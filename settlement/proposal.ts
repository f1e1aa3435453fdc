import type { Hex } from "viem";
import { invariant, PipelineError } from "#schema/errors";
import type { EpochHeader } from "./ledger.ts";
import type { EpochRun } from "./loaders/runs.ts";
import { zeroRoot } from "./tree/tree.ts";

/** What an epoch commits to, whatever certificate its payload has. */
const compared = [
  "rewardRoot",
  "attributionRoot",
  "receiptsAccumulator",
  "rootTotal",
  "fromBlock",
  "toBlock",
  "methodHash",
  "contentHash",
] as const;

export type EpochContent = Pick<EpochHeader, (typeof compared)[number]>;

export function contentOf(run: EpochRun): EpochContent {
  const { rewardRoot, attributionRoot, receiptsAccumulator, rootTotalWei, fromBlock, toBlock } = run;
  const { methodHash, contentHash } = run;
  return {
    rewardRoot,
    attributionRoot,
    receiptsAccumulator,
    rootTotal: rootTotalWei,
    fromBlock,
    toBlock,
    methodHash,
    contentHash,
  };
}

/** The header to post; the payload must be dispersed. */
export function headerOf(run: EpochRun): EpochHeader {
  invariant(run.daRef !== null, `epoch ${run.epochId} has no certificate yet`);
  return { ...contentOf(run), daRef: run.daRef };
}

/** @throws EpochMismatchError if what stands on chain is not what we computed. */
export function assertSameContent(epochId: bigint, ours: EpochContent, chain: EpochContent): void {
  const field = compared.find((name) => ours[name] !== chain[name]);
  if (field !== undefined) throw new EpochMismatchError(epochId, field, ours[field], chain[field]);
}

/** @throws ZeroRootError, RootAboveFundsError: the contract would refuse these too, at the price of a transaction. */
export function assertPostable(epochId: bigint, content: EpochContent, fundedWei: bigint): void {
  for (const name of ["rewardRoot", "attributionRoot"] as const) {
    if (content[name] === zeroRoot) throw new ZeroRootError(epochId, name);
  }
  if (content.rootTotal > fundedWei) throw new RootAboveFundsError(epochId, content.rootTotal, fundedWei);
}

/** Two computations of one epoch differ: ours or the poster's is wrong. Nothing is posted; a person must look. */
export class EpochMismatchError extends PipelineError {
  override readonly name = "EpochMismatchError";
  readonly epochId: bigint;
  readonly field: string;
  constructor(epochId: bigint, field: string, ours: Hex | bigint, chain: Hex | bigint) {
    super(`Epoch ${epochId} differs from the chain in ${field}. Computed: ${ours}. On chain: ${chain}.`, {
      code: "epoch_mismatch",
      retryable: false,
    });
    this.epochId = epochId;
    this.field = field;
  }
}

export class ZeroRootError extends PipelineError {
  override readonly name = "ZeroRootError";
  constructor(epochId: bigint, field: string) {
    super(`Epoch ${epochId} has no ${field}: nothing would be paid. It is not proposed.`, {
      code: "zero_root",
      retryable: false,
    });
  }
}

export class RootAboveFundsError extends PipelineError {
  override readonly name = "RootAboveFundsError";
  constructor(epochId: bigint, rootTotalWei: bigint, fundedWei: bigint) {
    super(
      `Epoch ${epochId} promises more than there is. Max: ${fundedWei} wei. Given: ${rootTotalWei} wei.`,
      {
        code: "root_above_funds",
        retryable: false,
      },
    );
  }
}
