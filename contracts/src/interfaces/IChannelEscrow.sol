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

    /// @notice A channel was opened; its configuration is kept here alone.
    event ChannelCreated(bytes32 indexed channelId, ChannelConfig config);
    /// @notice A channel has more money; wei.
    event Deposited(bytes32 indexed channelId, address indexed sender, uint128 amount, uint128 newBalance);
    /// @notice More of a channel belongs to its receiver; wei.
    event Claimed(bytes32 indexed channelId, address indexed sender, uint128 claimAmount, uint128 newTotalClaimed);
    /// @notice What was claimed for a receiver was paid to it; wei.
    event Settled(address indexed receiver, address indexed token, address indexed sender, uint128 amount);
    /// @notice The receiver's side gave money back to the payer; wei.
    /// @dev The refund nonce grows by one where a signature was used; `newRefundNonce` is the one after.
    event Refunded(bytes32 indexed channelId, address indexed sender, uint128 amount, uint128 newBalance, uint256 newRefundNonce);
    /// @notice The payer wants `amount` wei out, from the second `finalizeAfter` on.
    event WithdrawInitiated(bytes32 indexed channelId, uint128 amount, uint40 finalizeAfter);
    /// @notice The payer has what was not claimed meanwhile; wei.
    event WithdrawFinalized(bytes32 indexed channelId, address indexed sender, uint128 amount);

    /// @notice The configuration was used; another salt makes another channel.
    error ChannelExists(bytes32 channelId);
    /// @notice No channel was opened under this configuration.
    error UnknownChannel(bytes32 channelId);
    /// @notice Another token, nobody to receive, or a delay out of bounds.
    error InvalidConfig();
    /// @notice Nothing, where there must be something.
    error ZeroAmount();
    /// @notice A receiver with code was claimed for by another.
    /// @dev A receiver with code claims for itself: what another claimed for it, it could not account for.
    error NotReceiver(address caller);
    /// @notice The caller is not the channel's payer.
    error NotPayer(address caller);
    /// @notice The caller is neither receiver nor its authoriser.
    error NotReceiverAuthorizer(address caller);
    /// @notice The voucher is not signed by the payer's side.
    error InvalidVoucherSignature(bytes32 channelId);
    /// @notice The claim or refund is not signed by the receiver's side.
    error InvalidAuthorizerSignature(address authorizer);
    /// @notice A claim names no more than was claimed; wei in all.
    error ClaimNotMonotone(uint128 given, uint128 claimed);
    /// @notice A claim names more than the payer signed for; wei in all.
    error ClaimAboveVoucher(uint128 given, uint128 max);
    /// @notice A claim names more than is in the channel; wei in all.
    error ClaimAboveBalance(uint128 given, uint128 balance);
    /// @notice The delay ends at the second `finalizeAfter`.
    error WithdrawNotReady(uint40 finalizeAfter);
    /// @notice More than was not claimed; wei.
    error WithdrawAboveBalance(uint128 given, uint128 left);
    /// @notice There is nothing for the caller to take.
    error NothingToWithdraw();
    /// @notice Nothing was claimed for the receiver since it was paid.
    error NothingToSettle();
    /// @notice A refund by signature counts once, in order.
    error RefundNonceMismatch(uint256 given, uint256 expected);
    /// @notice There are more signatures of wallets than claims that need one.
    error UnusedWalletSignatures(uint256 given, uint256 used);
    /// @notice The collector brought another amount; wei.
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
    /// @notice A collector moves money for the escrow alone.
    error NotEscrow(address caller);

    /// @notice The escrow only: move exactly `amount` of `token` from `payer` to the caller.
    /// @param channelId Must be bound by the payer's signature in `collectorData`.
    function collect(address payer, address token, uint256 amount, bytes32 channelId, bytes calldata collectorData) external;
}
