// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Unidirectional payment channels with cumulative vouchers: the ABI and typed data of x402 `batch-settlement`.
/// @notice Domain {name "x402 Batch Settlement", version "1", chainId, verifyingContract}. A channel's id is the typed
/// data hash of its `ChannelConfig`; `Voucher(bytes32 channelId,uint128 maxClaimableAmount)` is signed by
/// payerAuthorizer (or by payer where that is zero). Configurations are not stored: they come with each call.
interface IChannelEscrow {
    /// @param receiverAuthorizer The node, where the receiver is the SettlementHub.
    struct ChannelConfig {
        address payer;
        address payerAuthorizer;
        address receiver;
        address receiverAuthorizer;
        address token;
        uint40 withdrawDelay;
        bytes32 salt;
    }

    /// @param withdrawFinalizeAfter Second from which a requested exit may be finished, 0 without one.
    struct Channel {
        uint128 balance;
        uint128 totalClaimed;
        uint128 withdrawAmount;
        uint40 withdrawFinalizeAfter;
    }

    struct Voucher {
        ChannelConfig channel;
        uint128 maxClaimableAmount;
    }

    /// @param totalClaimed New cumulative total claimed on this channel, at most maxClaimableAmount.
    struct VoucherClaim {
        Voucher voucher;
        bytes signature;
        uint128 totalClaimed;
    }

    /// @notice A VoucherClaim without what the receiver's call says once: receiver, authoriser and token.
    /// @param r With `vs` the signature in 64 bytes (ERC-2098). Zero for a payer with code (ERC-1271), whose signature is
    /// then the next of `walletSignatures`.
    struct CompactClaim {
        address payer;
        address payerAuthorizer;
        uint40 withdrawDelay;
        bytes32 salt;
        uint128 maxClaimableAmount;
        uint128 totalClaimed;
        bytes32 r;
        bytes32 vs;
    }

    event ChannelCreated(bytes32 indexed channelId, ChannelConfig config);
    event Deposited(bytes32 indexed channelId, address indexed sender, uint128 amount, uint128 newBalance);
    event Claimed(bytes32 indexed channelId, address indexed sender, uint128 claimAmount, uint128 newTotalClaimed);
    event Settled(address indexed receiver, address indexed token, address indexed sender, uint128 amount);
    /// @dev The refund nonce grows by one where a signature was used; `newRefundNonce` is the one after.
    event Refunded(bytes32 indexed channelId, address indexed sender, uint128 amount, uint128 newBalance, uint256 newRefundNonce);
    event WithdrawInitiated(bytes32 indexed channelId, uint128 amount, uint40 finalizeAfter);
    event WithdrawFinalized(bytes32 indexed channelId, address indexed sender, uint128 amount);

    error ChannelExists(bytes32 channelId);
    error UnknownChannel(bytes32 channelId);
    error InvalidConfig();
    error ZeroAmount();
    /// @dev A receiver with code claims for itself: what another claimed for it, it could not account for.
    error NotReceiver(address caller);
    error NotPayer(address caller);
    error NotReceiverAuthorizer(address caller);
    error InvalidVoucherSignature(bytes32 channelId);
    error InvalidAuthorizerSignature(address authorizer);
    error ClaimNotMonotone(uint128 given, uint128 claimed);
    error ClaimAboveVoucher(uint128 given, uint128 max);
    error ClaimAboveBalance(uint128 given, uint128 balance);
    error WithdrawNotReady(uint40 finalizeAfter);
    error WithdrawAboveBalance(uint128 given, uint128 left);
    error NothingToWithdraw();
    error NothingToSettle();
    error RefundNonceMismatch(uint256 given, uint256 expected);
    error UnusedWalletSignatures(uint256 given, uint256 used);
    error CollectedAmountMismatch(uint256 given, uint256 expected);

    /// @notice Open a channel with the caller's own money, who must be the payer and have approved it.
    function openChannel(ChannelConfig calldata config, uint128 amount) external returns (bytes32 channelId);
    /// @notice Top up an open channel with the caller's money.
    function deposit(bytes32 channelId, uint128 amount) external;
    /// @notice Open or top up with the payer's money, which `collector` brings by the payer's signature in `collectorData`.
    function deposit(ChannelConfig calldata config, uint128 amount, address collector, bytes calldata collectorData) external;
    /// @notice Claim vouchers for their receivers; by the receiver, or by its authoriser where the receiver has no code.
    /// The money waits for settle().
    /// @return total Sum of the increments. All or nothing.
    function claim(VoucherClaim[] calldata voucherClaims) external returns (uint128 total);
    /// @notice The same by anyone, with the authoriser's signature over `ClaimBatch` (receivers without code only).
    function claimWithSignature(VoucherClaim[] calldata voucherClaims, bytes calldata authorizerSignature) external;
    /// @notice The same for the caller as receiver of channels authorised by `receiverAuthorizer`, and settle(). What
    /// follows the arguments in the call data is ignored: SettlementHub.submitBatch begins with the same ones.
    function claimAndSettle(address receiverAuthorizer, CompactClaim[] calldata claims, bytes[] calldata walletSignatures) external returns (uint128 total);
    /// @notice Anyone; the receiver is paid all that was claimed for it.
    function settle(address receiver, address token) external;
    /// @notice Receiver or its authoriser: give back to the payer up to `amount` of what was not claimed, at once.
    function refund(ChannelConfig calldata config, uint128 amount) external;
    /// @notice The same by anyone, with the receiver's authoriser's signature over `Refund`, once per nonce.
    function refundWithSignature(ChannelConfig calldata config, uint128 amount, uint256 nonce, bytes calldata receiverAuthorizerSignature) external;
    /// @notice Payer only. Calling again restarts the delay.
    function initiateWithdraw(ChannelConfig calldata config, uint128 amount) external;
    /// @notice Anyone; the payer is paid.
    function finalizeWithdraw(ChannelConfig calldata config) external;

    function channels(bytes32 channelId) external view returns (uint128 balance, uint128 totalClaimed);
    function pendingWithdrawals(bytes32 channelId) external view returns (uint128 amount, uint40 initiatedAt);
    function receivers(address receiver, address token) external view returns (uint128 totalClaimed, uint128 totalSettled);
    function refundNonce(bytes32 channelId) external view returns (uint256);
    /// @notice channels and pendingWithdrawals in one.
    function channelOf(bytes32 channelId) external view returns (Channel memory);
    function getChannelId(ChannelConfig calldata config) external view returns (bytes32);
    function getVoucherDigest(bytes32 channelId, uint128 maxClaimableAmount) external view returns (bytes32);
    function getRefundDigest(bytes32 channelId, uint256 nonce, uint128 amount) external view returns (bytes32);
    function getClaimBatchDigest(VoucherClaim[] calldata voucherClaims) external view returns (bytes32);
}

/// @title Brings a payer's money into a channel by a signature of the payer's.
interface IDepositCollector {
    error NotEscrow(address caller);

    /// @notice The escrow only: move exactly `amount` of `token` from `payer` to the caller.
    /// @param channelId Must be bound by the payer's signature in `collectorData`.
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata collectorData) external;
}
