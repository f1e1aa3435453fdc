/** What trace asks: a claim transaction and a receipt digest look alike, so both are tried at once. */
export const traceQuery = `
  query Trace($hash: Hex!, $entries: Int!) {
    claims(txHash: $hash, first: 5) {
      nodes {
        txHash blockNumber amountWei cumulativeWei
        account { account }
        leaf { hash proof }
        epoch { id status rewardRoot attributionRoot contentHash daRef proposedTx finalizedTx }
        entries(first: $entries) { hasNextPage nodes { ...Entry receipt { ...Receipt } } }
      }
    }
    receipt(digest: $hash) { ...Receipt question answer entries { ...Entry } }
  }
  fragment Receipt on Receipt {
    digest requestId feeWei poolWei retrievalCommit
    batch { id receiptsRoot contentHash txHash }
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

export type TraceResult = { claims: { nodes: ClaimNode[] }; receipt: ReceiptWithEntries | null };

export type ClaimNode = {
  txHash: string;
  blockNumber: string;
  amountWei: string;
  cumulativeWei: string;
  account: { account: string };
  leaf: { hash: string; proof: string[] } | null;
  epoch: Record<
    "id" | "status" | "rewardRoot" | "attributionRoot" | "contentHash" | "daRef" | "proposedTx",
    string
  > & { finalizedTx: string | null };
  entries: { hasNextPage: boolean; nodes: (EntryNode & { receipt: ReceiptNode })[] };
};

export type ReceiptNode = Record<
  "digest" | "requestId" | "feeWei" | "poolWei" | "retrievalCommit",
  string
> & {
  batch: Record<"id" | "receiptsRoot" | "contentHash" | "txHash", string>;
};

export type ReceiptWithEntries = ReceiptNode & {
  question: string | null;
  answer: string | null;
  entries: EntryNode[];
};

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
