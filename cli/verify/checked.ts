import type { Hex } from "viem";
import type { CheckedEpoch } from "./epoch.ts";

/**
 * What one run found to hold, over all accounts and transactions it is asked about: nothing is checked twice.
 * Only a check that passed is entered.
 */
export type Checked = {
  /** Epochs whose certificate, blob, roots and sums hold, by number. */
  epochs: Map<bigint, CheckedEpoch>;
  /** Epochs whose batches, scores, allocation and conservation hold too. */
  made: Set<bigint>;
  /** Chunk ids of the contributions whose certificate, blob and root hold, by contribution. */
  contributions: Map<bigint, ReadonlySet<Hex>>;
  /** Chunk ids of the rows an adapter learned, whose payload holds, by model. */
  trainings: Map<Hex, ReadonlySet<Hex>>;
};

export function nothingChecked(): Checked {
  return { epochs: new Map(), made: new Set(), contributions: new Map(), trainings: new Map() };
}
