const fragments = `
  fragment Receipt on Receipt {
    digest requestId feeWei poolWei retrievalCommit
    batch { id receiptsRoot contentHash txHash }
    model { id artifactHash training { manifestHash daRef txHash } }
  }
  fragment Entry on Entry {
    leaf role subject amountWei scoreWad reasonText
    account { account }
    chunk {
      id text textHash leaf
      contribution { id dataRoot submittedTx contributor { account } datanet { id } }
    }
  }
`;

/** Whom a transaction pays, and how much. */
export const payoutsQuery = `
  query Payouts($hash: Hex!, $first: Int!, $after: String) {
    claims(txHash: $hash, first: $first, after: $after) {
      endCursor hasNextPage nodes { amountWei account { account } epoch { id } }
    }
  }
`;

/** One payout with its hops and a page of what it is made of. */
export const payoutQuery = `
  query Payout($hash: Hex!, $account: Hex!, $first: Int!, $after: String) {
    claims(txHash: $hash, account: $account, first: 1) {
      nodes {
        txHash blockNumber amountWei cumulativeWei entryCount
        account { account }
        leaf { hash proof }
        epoch {
          id status rewardRoot attributionRoot contentHash daRef proposedTx finalizedTx
          leftOut { batchId code } unavailable { subject code }
        }
        entries(first: $first, after: $after) { endCursor hasNextPage nodes { ...Entry receipt { ...Receipt } } }
      }
    }
  }
  ${fragments}
`;

/** One answer, and who got what of it. */
export const receiptQuery = `
  query Receipt($hash: Hex!) {
    receipt(digest: $hash) {
      ...Receipt question answer entries { ...Entry }
      scores { influences { player chunkId scoreWad standardErrorWad estimator isCausal } }
      spans { index answerStart answerEnd sourceStart sourceEnd occurrenceCount chunk { id text } }
    }
  }
  ${fragments}
`;

export type PayoutNode = { amountWei: string; account: { account: string }; epoch: { id: string } };

export type ClaimNode = {
  txHash: string;
  blockNumber: string;
  amountWei: string;
  cumulativeWei: string;
  entryCount: number;
  account: { account: string };
  leaf: { hash: string; proof: string[] } | null;
  epoch: Record<
    "id" | "status" | "rewardRoot" | "attributionRoot" | "contentHash" | "daRef" | "proposedTx",
    string
  > & {
    finalizedTx: string | null;
    leftOut: { batchId: string; code: string }[];
    unavailable: { subject: string; code: string }[];
  };
  entries: {
    endCursor: string | null;
    hasNextPage: boolean;
    nodes: (EntryNode & { receipt: ReceiptNode })[];
  };
};

export type ReceiptNode = Record<
  "digest" | "requestId" | "feeWei" | "poolWei" | "retrievalCommit",
  string
> & {
  batch: Record<"id" | "receiptsRoot" | "contentHash" | "txHash", string>;
  /** `training` is null for a model that follows no adapter. */
  model: Record<"id" | "artifactHash", string> & {
    training: Record<"manifestHash" | "daRef" | "txHash", string> | null;
  };
};

export type ReceiptWithEntries = ReceiptNode & {
  question: string | null;
  answer: string | null;
  entries: EntryNode[];
  scores: { influences: InfluenceNode[] }[];
  spans: SpanNode[];
};

export type InfluenceNode = Record<"player" | "chunkId" | "scoreWad" | "estimator", string> & {
  standardErrorWad: string | null;
  isCausal: boolean | null;
};

export type SpanNode = Record<
  "index" | "answerStart" | "answerEnd" | "sourceStart" | "sourceEnd" | "occurrenceCount",
  number
> & { chunk: { id: string; text: string } | null };

export type EntryNode = Record<
  "leaf" | "role" | "subject" | "amountWei" | "scoreWad" | "reasonText",
  string
> & {
  account: { account: string } | null;
  chunk:
    | (Record<"id" | "text" | "textHash" | "leaf", string> & {
        contribution: Record<"id" | "dataRoot" | "submittedTx", string> & {
          contributor: { account: string };
          datanet: { id: string };
        };
      })
    | null;
};
