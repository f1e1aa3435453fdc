// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Epochs: proposed with a bond, open to challenge, then final. One open epoch at a time.
interface IAttributionLedger {
    /// @param rewardRoot Root over (chainId, distributor, account, cumulative). @param attributionRoot Root over attribution entries.
    /// @param receiptsAccumulator keccak256 chain over the receipts roots settled in (fromBlock, toBlock], in order.
    /// @param rootTotal Sum of all cumulative amounts. @param methodHash Engine version. @param daRef keccak256(daCommitment).
    struct EpochHeader {
        bytes32 rewardRoot;
        bytes32 attributionRoot;
        bytes32 receiptsAccumulator;
        uint128 rootTotal;
        uint64 fromBlock;
        uint64 toBlock;
        bytes32 methodHash;
        bytes32 contentHash;
        bytes32 daRef;
    }

    /// @param cumulative All the account ever earned, in wei. @param proof To the reward root, pairs sorted.
    struct Leaf {
        address account;
        uint128 cumulative;
        bytes32[] proof;
    }

    /// @notice An epoch is open to challenge until the second `challengeEnd`; `rootTotal` in wei.
    /// @dev status: 0 None, 1 Proposed, 2 Disputed, 3 Rejected, 4 Finalized.
    event EpochProposed(uint64 indexed epoch, address indexed poster, bytes32 rewardRoot, bytes32 attributionRoot, bytes32 receiptsAccumulator, bytes32 prevRewardRoot, uint128 rootTotal, uint64 fromBlock, uint64 toBlock, bytes32 methodHash, bytes32 contentHash, bytes32 daRef, bytes daCommitment, uint64 challengeEnd);
    /// @notice Somebody put an equal bond against the epoch; the arbiter rules.
    /// @param deadline End of the arbiter's time.
    event EpochDisputed(uint64 indexed epoch, address indexed disputer, uint8 indexed reason, uint64 deadline, bytes32 evidenceHash, bytes evidence);
    /// @notice A dispute, or a proof, ended; `paid` and `burned` in wei.
    /// @param winner Zero where nobody ruled in time: the epoch is rejected (upheld), the poster has his bond back and the
    /// disputer half of his, by the BondCredited events before this; the other half is `burned`.
    /// @param deadline End of the new challenge window where the dispute was not upheld; 0 where the epoch is rejected.
    event EpochResolved(uint64 indexed epoch, bool upheld, address winner, uint128 paid, uint128 burned, uint64 deadline);
    /// @notice One leaf is named: by a dispute (EpochDisputed follows) or by a proof (EpochResolved follows).
    event LeafDisputed(uint64 indexed epoch, address indexed disputer, address indexed account, uint128 cumulative, uint8 reason);
    /// @notice Layer 1 found the certificate of the epoch's blob to be none (EpochResolved follows).
    event CertificateProvenInvalid(uint64 indexed epoch, address indexed prover, bytes32 daRef);
    /// @notice An epoch was given up before anyone disputed it.
    /// @param reason "withdrawn": the poster took it back, and his bond.
    event EpochAbandoned(uint64 indexed epoch, bytes32 reason);
    /// @notice The root pays from now on; `rootTotal` in wei.
    event EpochFinalized(uint64 indexed epoch, bytes32 rewardRoot, uint128 rootTotal);
    /// @notice A bond, or a part of one, waits for its owner; in wei.
    event BondCredited(address indexed to, uint128 amount, uint128 newCredit);
    /// @notice A bond was taken from its owner's credit, not from its tokens.
    event BondDebited(address indexed from, uint128 amount, uint128 newCredit);
    /// @notice The credit of an account was paid out; `amount` in wei.
    event BondWithdrawn(address indexed to, uint128 amount);

    /// @notice A window in which nobody could speak, or which nobody outlives.
    /// @param given, max In seconds; zero is out of range too.
    error PeriodOutOfRange(uint64 given, uint64 max);
    /// @notice The caller does not hold the role POSTER, or did not propose this epoch.
    error NotPoster(address caller);
    /// @notice The caller does not hold the role ARBITER.
    error NotArbiter(address caller);
    /// @notice A root of zero would commit to nothing.
    error ZeroRoot();
    /// @notice The epoch before is still proposed or disputed.
    error EpochOpen(uint64 epoch);
    /// @notice Epochs are numbered without gaps.
    error UnexpectedEpoch(uint64 given, uint64 expected);
    /// @notice The range does not begin where the last epoch ended, is empty, or reaches into this block.
    error BlockRangeMismatch(uint64 given, uint64 expected);
    /// @notice Cumulative rewards never fall; wei.
    error RootTotalBelowPrevious(uint128 given, uint128 previous);
    /// @notice The pool does not hold that much; wei.
    error RootTotalAboveFunds(uint128 given, uint128 funded);
    /// @notice The header names another certificate than the one that came with it.
    error DaRefMismatch(bytes32 given, bytes32 expected);
    /// @notice The certificate of the blob has too many bytes.
    error DaCommitmentTooLarge(uint256 given, uint256 max);
    /// @notice The evidence has too many bytes.
    error EvidenceTooLarge(uint256 given, uint256 max);
    /// @notice The epoch is not open to this; `status` as in statusOf.
    error NotProposed(uint64 epoch, uint8 status);
    /// @notice Nobody disputes the epoch; `status` as in statusOf.
    error NotDisputed(uint64 epoch, uint8 status);
    /// @notice These are not the header's fields: their hash differs from the one kept.
    error HeaderMismatch(bytes32 given, bytes32 expected);
    /// @notice Too early: before the second `deadline`.
    error WindowOpen(uint64 deadline);
    /// @notice Too late: the second `deadline` has come.
    error WindowClosed(uint64 deadline);
    /// @notice There is nothing for the caller to take.
    error NothingToWithdraw();
    /// @notice Layer 1 has not found the certificate invalid: 0 no verdict yet, 1 valid.
    error CertificateNotInvalid(bytes32 daRef, uint8 verdict);
    /// @notice The proof does not lead from this leaf to the root.
    error LeafNotInRoot(address account, uint128 cumulative);
    /// @notice The leaves break no rule that a proof alone can show.
    error LeafNotWrong(address account, uint128 cumulative);

    /// @notice Role POSTER, unless the guardian paused it: propose epoch `epoch` = epochCount()+1 (a rejected number is proposed again).
    /// The poster's bond is taken from its credit, or pulled where that does not cover it; so are all bonds.
    /// header.fromBlock must equal the last finalised epoch's toBlock (0 at first); header.toBlock < block.number.
    function propose(uint64 epoch, EpochHeader calldata header, bytes calldata daCommitment) external;
    /// @notice Dispute within the window with an equal bond.
    function dispute(uint64 epoch, uint8 reason, bytes calldata evidence) external;
    /// @notice Dispute one leaf of the open epoch, shown to be in its root; otherwise as dispute(). The header is the one
    /// that was proposed, here and in all that follows: the chain keeps only its hash.
    function disputeLeaf(uint64 epoch, EpochHeader calldata header, Leaf calldata leaf, uint8 reason, bytes calldata evidence) external;
    /// @notice Prove without bond or arbiter that a leaf of the open epoch is wrong, here and in the next two
    /// (and, of the certificate, in the third): the epoch is
    /// rejected, half of the poster's bond goes to the caller, half is burned. Here: one leaf has more than the root's total.
    function proveLeafAboveTotal(uint64 epoch, EpochHeader calldata header, Leaf calldata leaf) external;
    /// @notice An account has less than the live root gave it; `before` is its leaf there.
    function proveLeafFalls(uint64 epoch, EpochHeader calldata header, Leaf calldata leaf, Leaf calldata before) external;
    /// @notice An account has two leaves.
    function proveLeafTwice(uint64 epoch, EpochHeader calldata header, Leaf calldata leaf, Leaf calldata other) external;
    /// @notice The epoch's certificate is invalid by the verdict of layer 1 that the mirror holds. @param header As proposed.
    function proveCertificateInvalid(uint64 epoch, EpochHeader calldata header) external;
    /// @notice Poster, while nobody disputed: take the epoch back, with the bond. Its number is proposed again.
    function withdrawEpoch(uint64 epoch) external;
    /// @notice Arbiter only: upheld means the dispute is right. Half of the loser's bond to the winner, half burned.
    /// Not upheld: the epoch is Proposed again with a whole new window, deadline = block.timestamp + challengeWindowSeconds.
    function resolveDispute(uint64 epoch, bool upheld) external;
    /// @notice After `arbitrationTimeoutSeconds` without a ruling, anyone: the epoch is rejected (safety first), and nobody
    /// wins: the poster's bond goes back whole, the disputer's half.
    function rejectUnresolved(uint64 epoch) external;
    /// @notice Anyone, after the window: activates the root in the distributor and frees the bond.
    function finalize(uint64 epoch, EpochHeader calldata header) external;
    /// @notice Pays the caller its credit out.
    function withdrawBond() external;

    /// @return count Number of finalised epochs.
    function epochCount() external view returns (uint64 count);
    /// @notice toBlock of the last finalised epoch, where the next one begins; 0 before.
    function settledToBlock() external view returns (uint64);
    /// @return status Of a final epoch it is all there is; the rest is in its events. @return deadline Second at which the
    /// challenge window ends while proposed, the arbiter's time while disputed.
    function statusOf(uint64 epoch) external view returns (uint8 status, uint64 deadline, address poster);
    /// @notice keccak256(abi.encode(hash before, header)) of the last final epoch, from
    /// keccak256(abi.encode(chain id, ledger)): one word for all headers.
    function headerHash() external view returns (bytes32);
    /// @notice What headerHash() becomes when the newest proposal is final.
    function openHeaderHash() external view returns (bytes32);
    /// @notice What the account can withdraw or bond with, in wei.
    function bondCredit(address account) external view returns (uint128);
    function challengeWindowSeconds() external view returns (uint64);
    function bondAmount() external view returns (uint128);
}
