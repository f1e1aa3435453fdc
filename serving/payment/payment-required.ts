import type { Hex } from "viem";
import { PipelineError } from "#schema/errors";
import type { RefusalReason } from "./admission.ts";

/** Where and to whom a channel must be opened. */
export type PaymentTerms = { chainId: bigint; escrow: Hex; token: Hex; hub: Hex; node: Hex };

type Due = PaymentTerms & { channelId?: Hex; chargedWei: bigint; feeWei: bigint };
type Refused = { reason: RefusalReason | "voucher_missing" | "voucher_malformed"; remedy: string };

/** Body of a 402 beside the error: amounts in wei as decimal strings, and all that is needed to open a channel. */
export type PaymentRequiredJson = {
  channelId?: Hex;
  chargedWei: string;
  feeWei: string;
  requiredMaxWei: string;
  reason: string;
  remedy: string;
  chainId: string;
  escrow: Hex;
  token: Hex;
  receiver: Hex;
  receiverAuthorizer: Hex;
};

/** The call is not paid for; `details` says what is missing and what to do. */
export class PaymentRequiredError extends PipelineError {
  override readonly name = "PaymentRequiredError";
  readonly details: PaymentRequiredJson;

  constructor({ reason, remedy }: Refused, due: Due) {
    super(`payment required: ${reason}. ${remedy}`, { code: reason, retryable: false });
    this.details = {
      ...(due.channelId === undefined ? {} : { channelId: due.channelId }),
      chargedWei: due.chargedWei.toString(),
      feeWei: due.feeWei.toString(),
      requiredMaxWei: (due.chargedWei + due.feeWei).toString(),
      reason,
      remedy,
      chainId: due.chainId.toString(),
      escrow: due.escrow,
      token: due.token,
      receiver: due.hub,
      receiverAuthorizer: due.node,
    };
  }
}
