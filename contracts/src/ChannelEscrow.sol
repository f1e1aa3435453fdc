// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IChannelEscrow} from "./interfaces/IChannelEscrow.sol";

/// @title Custody of prepaid calls. Immutable: no owner, no fee, no sweep.
/// @notice A channel holds balance − totalClaimed. The payer's signature caps every cent that can leave to the
/// receiver; what was not claimed by the end of the withdraw delay goes back to the payer.
contract ChannelEscrow is IChannelEscrow, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice Bounds of a channel's withdrawDelay (x402's): time for the receiver to claim, and for the payer to exit.
    uint40 public constant WITHDRAW_DELAY_SECONDS_MIN = 15 minutes;
    uint40 public constant WITHDRAW_DELAY_SECONDS_MAX = 30 days;

    bytes32 private constant VOUCHER_TYPEHASH = keccak256("Voucher(bytes32 channelId,uint128 maxClaimableAmount)");

    /// @notice The only token of all channels.
    IERC20 public immutable token;

    mapping(bytes32 channelId => Channel) private _channels;
    mapping(bytes32 channelId => ChannelConfig) private _configs;
    /// @inheritdoc IChannelEscrow
    uint256 public escrowed;

    constructor(IERC20 token_) EIP712("TributaryChannelEscrow", "1") {
        token = token_;
    }

    /// @inheritdoc IChannelEscrow
    /// @dev Only the payer opens: otherwise anyone could take the id first, with one wei.
    function openChannel(ChannelConfig calldata config, uint128 amount)
        external
        nonReentrant
        returns (bytes32 channelId)
    {
        require(msg.sender == config.payer, NotPayer(msg.sender));
        bool isValid = config.receiver != address(0) && config.token == address(token)
            && config.withdrawDelay >= WITHDRAW_DELAY_SECONDS_MIN && config.withdrawDelay <= WITHDRAW_DELAY_SECONDS_MAX;
        require(isValid, InvalidConfig());
        channelId = channelIdOf(config);
        require(_configs[channelId].payer == address(0), ChannelExists(channelId));
        _configs[channelId] = config;
        emit ChannelCreated(channelId, config);
        _deposit(channelId, amount);
    }

    /// @inheritdoc IChannelEscrow
    function deposit(bytes32 channelId, uint128 amount) external nonReentrant {
        require(_configs[channelId].payer != address(0), UnknownChannel(channelId));
        _deposit(channelId, amount);
    }

    /// @inheritdoc IChannelEscrow
    function claim(VoucherClaim[] calldata claims) external nonReentrant returns (uint128 total) {
        for (uint256 i = 0; i < claims.length; i++) {
            total += _claim(claims[i]);
        }
        require(total > 0, ZeroAmount());
        escrowed -= total;
        token.safeTransfer(msg.sender, total);
    }

    /// @inheritdoc IChannelEscrow
    /// @dev Calling again restarts the delay with what is left by then.
    function initiateWithdraw(bytes32 channelId) external {
        ChannelConfig storage config = _configs[channelId];
        require(config.payer != address(0), UnknownChannel(channelId));
        require(config.payer == msg.sender, NotPayer(msg.sender));
        Channel storage channel = _channels[channelId];
        uint128 amount = channel.balance - channel.totalClaimed;
        require(amount > 0, NothingToWithdraw());
        uint40 finalizeAfter = uint40(block.timestamp) + config.withdrawDelay;
        channel.withdrawAmount = amount;
        channel.withdrawFinalizeAfter = finalizeAfter;
        emit WithdrawInitiated(channelId, amount, finalizeAfter);
    }

    /// @inheritdoc IChannelEscrow
    /// @dev Anyone may call; the payer is paid. What was claimed in the meantime is deducted, possibly down to zero.
    function finalizeWithdraw(bytes32 channelId) external nonReentrant {
        Channel storage channel = _channels[channelId];
        require(channel.withdrawFinalizeAfter != 0, NothingToWithdraw());
        require(block.timestamp >= channel.withdrawFinalizeAfter, WithdrawNotReady(channel.withdrawFinalizeAfter));
        uint128 left = channel.balance - channel.totalClaimed;
        uint128 amount = channel.withdrawAmount < left ? channel.withdrawAmount : left;
        channel.balance -= amount;
        channel.withdrawAmount = 0;
        channel.withdrawFinalizeAfter = 0;
        escrowed -= amount;
        emit WithdrawFinalized(channelId, msg.sender, amount);
        if (amount > 0) token.safeTransfer(_configs[channelId].payer, amount);
    }

    /// @inheritdoc IChannelEscrow
    function channelOf(bytes32 channelId) external view returns (Channel memory) {
        return _channels[channelId];
    }

    /// @inheritdoc IChannelEscrow
    function receiverAuthorizerOf(bytes32 channelId) external view returns (address) {
        return _configs[channelId].receiverAuthorizer;
    }

    /// @inheritdoc IChannelEscrow
    function configOf(bytes32 channelId) external view returns (ChannelConfig memory) {
        return _configs[channelId];
    }

    /// @inheritdoc IChannelEscrow
    function voucherDigest(bytes32 channelId, uint128 maxClaimableAmount) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(VOUCHER_TYPEHASH, channelId, maxClaimableAmount)));
    }

    /// @inheritdoc IChannelEscrow
    function channelIdOf(ChannelConfig calldata config) public pure returns (bytes32) {
        return keccak256(abi.encode(config));
    }

    function _deposit(bytes32 channelId, uint128 amount) private {
        require(amount > 0, ZeroAmount());
        Channel storage channel = _channels[channelId];
        uint128 newBalance = channel.balance + amount;
        channel.balance = newBalance;
        escrowed += amount;
        emit Deposited(channelId, msg.sender, amount, newBalance);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @return amount The increment. The caller moves the tokens.
    function _claim(VoucherClaim calldata voucher) private returns (uint128 amount) {
        bytes32 channelId = voucher.channelId;
        ChannelConfig storage config = _configs[channelId];
        require(config.payer != address(0), UnknownChannel(channelId));
        require(config.receiver == msg.sender, NotReceiver(msg.sender));
        Channel storage channel = _channels[channelId];
        uint128 claimedBefore = channel.totalClaimed;
        uint128 claimedAfter = voucher.totalClaimed;
        require(claimedAfter > claimedBefore, ClaimNotMonotone(claimedAfter, claimedBefore));
        require(
            claimedAfter <= voucher.maxClaimableAmount, ClaimAboveVoucher(claimedAfter, voucher.maxClaimableAmount)
        );
        require(claimedAfter <= channel.balance, ClaimAboveBalance(claimedAfter, channel.balance));
        require(_isSigned(config, voucher), InvalidVoucherSignature(channelId));
        channel.totalClaimed = claimedAfter;
        amount = claimedAfter - claimedBefore;
        emit Claimed(channelId, msg.sender, amount, claimedAfter);
    }

    /// @dev An authoriser is a plain key; a payer may be a contract wallet (ERC-1271).
    function _isSigned(ChannelConfig storage config, VoucherClaim calldata voucher) private view returns (bool) {
        bytes32 digest = voucherDigest(voucher.channelId, voucher.maxClaimableAmount);
        address authorizer = config.payerAuthorizer;
        if (authorizer == address(0)) {
            return SignatureChecker.isValidSignatureNowCalldata(config.payer, digest, voucher.signature);
        }
        // What is no signature recovers the zero address, which is no authoriser.
        (address signer,,) = ECDSA.tryRecoverCalldata(digest, voucher.signature);
        return signer == authorizer;
    }
}
