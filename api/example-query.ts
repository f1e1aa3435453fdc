/** What GraphiQL opens with, and README.md shows: one payout down to its contributors, each hop with its hash. */
export const exampleQuery = `query Payout {
  # The newest payout. Another: claims(first: 1, txHash: "0x…", account: "0x…")
  claims(first: 1) {
    nodes {
      txHash
      amountWei
      account {
        account
      }
      leaf {
        hash
        cumulativeWei
        proof
      }
      epoch {
        id
        rewardRoot
        attributionRoot
        contentHash
        daRef
        proposedTx
      }
      entryCount
      entries(first: 20) {
        nodes {
          leaf
          amountWei
          role
          reasonText
          scoreWad
          receipt {
            digest
            leaf
            retrievalCommit
            model {
              id
              training {
                manifestHash
                txHash
              }
            }
            batch {
              id
              receiptsRoot
              contentHash
              txHash
            }
          }
          chunk {
            id
            leaf
            textHash
            text
            contribution {
              id
              dataRoot
              contentHash
              submittedTx
              contributor {
                account
              }
            }
          }
        }
      }
    }
  }
}
`;
