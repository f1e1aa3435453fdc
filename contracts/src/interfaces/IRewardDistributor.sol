// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Cumulative Merkle rewards. totalClaimed ≤ rootTotal ≤ totalFunded, enforced here. No sweep, no pause.
/// @notice Leaf = keccak256(bytes.concat(keccak256(abi.encode(block.chainid, address(this), account, cumulative)))),
/// proofs of sorted pairs (OpenZeppelin StandardMerkleTree of ["uint256","address","address","uint256"]).
interface IRewardDistributor {
    struct ClaimItem {
        address account;
        uint128 cumulative;
        bytes32[] proof;
    }

    /// @notice The pool has more; wei.
    event Funded(address indexed from, uint128 amount, uint128 totalFunded);
    /// @notice Claims are by this root from now on; `rootTotal` in wei.
    event RootActivated(uint64 indexed epoch, bytes32 root, uint128 rootTotal);
    /// @notice An account was paid what it had not had; `cumulative` and `totalClaimed` after it, in wei.
    event Claimed(address indexed account, uint64 indexed epoch, address recipient, uint128 amount, uint128 cumulative, uint128 totalClaimed);
    /// @notice An account lets another send its rewards elsewhere, or no longer.
    event ClaimerSet(address indexed account, address indexed claimer);

    /// @notice Only the ledger activates roots.
    error NotLedger(address caller);
    /// @notice A root of zero would commit to nothing.
    error ZeroRoot();
    /// @notice Nothing, where there must be something.
    error ZeroAmount();
    /// @notice The pool does not hold that much; wei.
    error RootTotalAboveFunds(uint128 given, uint128 funded);
    /// @notice Cumulative rewards never fall; wei.
    error RootTotalBelowPrevious(uint128 given, uint128 previous);
    /// @notice The proof does not lead from this leaf to the live root.
    error InvalidProof(address account, uint128 cumulative);
    /// @notice The account had as much.
    error NothingToClaim(address account, uint128 cumulative);
    /// @notice The leaves sum to more than the root said; wei.
    error ClaimAboveRootTotal(uint128 given, uint128 rootTotal);
    /// @notice The caller is neither the account nor its claimer.
    error NotClaimer(address caller);

    /// @notice Anyone adds to the pool; nothing comes back out of it but claims.
    function fund(uint128 amount) external;
    /// @notice The ledger: the root that pays from now on.
    function activateRoot(uint64 epoch, bytes32 root, uint128 rootTotal) external;
    /// @notice Pays `account`; anyone may call, so a bot can push.
    function claim(address account, uint128 cumulative, bytes32[] calldata proof) external;
    /// @notice Pays `recipient`; only the account or its claimer.
    function claimTo(address account, address recipient, uint128 cumulative, bytes32[] calldata proof) external;
    /// @notice Pays each account its own; items with nothing new are skipped.
    function claimMany(ClaimItem[] calldata items) external;
    /// @notice Let `claimer` send the caller's rewards wherever it says; zero: nobody.
    function setClaimer(address claimer) external;

    function root() external view returns (bytes32);
    function epoch() external view returns (uint64);
    function rootTotal() external view returns (uint128);
    function totalFunded() external view returns (uint128);
    function totalClaimed() external view returns (uint128);
    /// @notice All that the account was ever paid, in wei.
    function claimed(address account) external view returns (uint128);
    function claimerFor(address account) external view returns (address);
    /// @notice What a proof must lead from.
    function leafOf(address account, uint128 cumulative) external view returns (bytes32);
}
