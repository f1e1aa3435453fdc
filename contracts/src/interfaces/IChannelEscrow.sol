// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Unidirectional payment channels with cumulative vouchers, in the shape of x402 `batch-settlement`.
/// @notice Voucher typed data: domain {name "TributaryChannelEscrow", version "1", chainId, verifyingContract},
/// `Voucher(bytes32 channelId,uint128 maxClaimableAmount)`, signed by payerAuthorizer (or by payer where that is zero).
interface IChannelEscrow {
    struct ChannelConfig {
        address payer;
        address payerAuthorizer;
        address receiver;
        address receiverAuthorizer;
        address token;
        uint40 withdrawDelay;
        bytes32 salt;
    }

    struct Channel {
        uint128 balance;
        uint128 totalClaimed;
        uint128 withdrawAmount;
        uint40 withdrawFinalizeAfter;
    }

    struct VoucherClaim {
        bytes32 channelId;
        uint128 maxClaimableAmount;
        /// @dev New cumulative total claimed on this channel, at most maxClaimableAmount.
        uint128 totalClaimed;
        bytes signature;
    }

    event ChannelCreated(bytes32 indexed channelId, ChannelConfig config);
    event Deposited(bytes32 indexed channelId, address indexed sender, uint128 amount, uint128 newBalance);
    event Claimed(bytes32 indexed channelId, address indexed sender, uint128 claimAmount, uint128 newTotalClaimed);
    event WithdrawInitiated(bytes32 indexed channelId, uint128 amount, uint40 finalizeAfter);
    event WithdrawFinalized(bytes32 indexed channelId, address indexed sender, uint128 amount);

    error ChannelExists(bytes32 channelId);
    error UnknownChannel(bytes32 channelId);
    error InvalidConfig();
    error ZeroAmount();
    error NotReceiver(address caller);
    error NotPayer(address caller);
    error InvalidVoucherSignature(bytes32 channelId);
    error ClaimNotMonotone(uint128 given, uint128 claimed);
    error ClaimAboveVoucher(uint128 given, uint128 max);
    error ClaimAboveBalance(uint128 given, uint128 balance);
    error WithdrawNotReady(uint40 finalizeAfter);
    error NothingToWithdraw();

    /// @return channelId keccak256(abi.encode(config))
    function openChannel(ChannelConfig calldata config, uint128 amount) external returns (bytes32 channelId);
    function deposit(bytes32 channelId, uint128 amount) external;
    /// @notice Claim vouchers to the caller, who must be the receiver of each channel.
    /// @return total Sum of the increments, transferred to the caller. All or nothing.
    function claim(VoucherClaim[] calldata claims) external returns (uint128 total);
    function initiateWithdraw(bytes32 channelId) external;
    function finalizeWithdraw(bytes32 channelId) external;

    function channelOf(bytes32 channelId) external view returns (Channel memory);
    /// @notice Key that may have the receiver claim this channel: the node, where the receiver is the SettlementHub.
    function receiverAuthorizerOf(bytes32 channelId) external view returns (address);
    function configOf(bytes32 channelId) external view returns (ChannelConfig memory);
    function voucherDigest(bytes32 channelId, uint128 maxClaimableAmount) external view returns (bytes32);
    function channelIdOf(ChannelConfig calldata config) external pure returns (bytes32);
    function escrowed() external view returns (uint256);
}
