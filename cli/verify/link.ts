import type { Hex } from "viem";
import { PipelineError } from "#schema/errors";

/** One checked link of the proof chain. `hash` is what ties it to the next; `detail` says what was compared. */
export type Link = { name: LinkName; ok: boolean; hash: Hex | null; detail: string };

/** Names of links, as printed and as `--json` gives them; a broken one is named by this. */
export type LinkName =
  | "claim"
  | "leaf"
  | "proof"
  | "epoch"
  | "provenance certificate"
  | "provenance blob"
  | "provenance content"
  | "reward root"
  | "reward sum"
  | "attribution root"
  | "entries sum"
  | "receipts accumulator"
  | "receipts certificate"
  | "receipts blob"
  | "receipts root"
  | "receipt signatures"
  | "fee totals"
  | "disclosures"
  | "unavailable"
  | "scores"
  | "allocation"
  | "standings"
  | "conservation"
  | "usage"
  | "contribution certificate"
  | "contribution blob"
  | "data root"
  | "chunk"
  | "training certificate"
  | "training blob"
  | "training manifest"
  | "training row";

export type Report = (link: Link) => void;

/** What the chain or DA holds is not what the payout needs. The verdict is "invalid", naming the link. */
export class BrokenLink extends PipelineError {
  override readonly name = "BrokenLink";
  readonly link: LinkName;
  constructor(link: LinkName, message: string) {
    super(message, { code: "broken_link", retryable: false });
    this.link = link;
  }
}

/** A relay gave other bytes than the certificate commits to. Breaks the link; the blob itself may be good elsewhere. */
export class WrongBytes extends BrokenLink {}

/** Something could not be had, so nothing is said about it. The verdict is "cannot check". */
export class CannotCheck extends PipelineError {
  override readonly name = "CannotCheck";
  constructor(message: string, cause?: unknown) {
    super(message, { code: "cannot_check", retryable: true, cause });
  }
}

/** No relay gave the blob: a case of CannotCheck that another relay, or another day, may settle. */
export class UnansweredError extends CannotCheck {}

/** Reports the link, and breaks off where it does not hold. */
export function check(
  report: Report,
  name: LinkName,
  hash: Hex | null,
  isHeld: boolean,
  detail: string,
): void {
  report({ name, ok: isHeld, hash, detail });
  if (!isHeld) throw new BrokenLink(name, detail);
}
