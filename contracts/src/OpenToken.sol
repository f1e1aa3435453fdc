// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";

/// @title What OPEN can do, whichever way it comes into being: permit, votes, authorised transfers.
/// @notice Votes are counted by timestamp, since a layer 2's block time may change.
/// Authorised transfers (ERC-3009) have random nonces, as x402's clients make them, and come in two forms: (v, r, s),
/// and one byte string that may also be a contract wallet's (ERC-1271).
/// @dev A balance and the delegate of its votes share a slot: a transfer reads both for the price of one (Gas in
/// contracts/README.md). OpenZeppelin's own mappings of the two stay empty; its checkpoints, and so the supply, are used.
/// Of OpenZeppelin's two extensions for signed transfers only ERC3009 takes random nonces; its clock reads times
/// with bit 47 set as block numbers, which no second of the next four million years has.
abstract contract OpenTokenBase is ERC20, ERC20Burnable, ERC20Permit, ERC20Votes, ERC3009 {
    using SafeCast for uint256;

    /// @dev 96 bits hold the whole supply, and any chain's coins.
    struct Holder {
        uint96 balance;
        address delegatee;
    }

    mapping(address account => Holder) private _holders;

    constructor() ERC20("Tributary OPEN", "OPEN") ERC20Permit("Tributary OPEN") {}


    /// @notice ERC-3009: move `value` by a signature of `from` over TransferWithAuthorization. Anyone may send it.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        bytes32 structHash = keccak256(
            abi.encode(TRANSFER_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce)
        );
        _checkSigned(from, structHash, signature);
        _transferWithAuthorization(from, to, value, validAfter, validBefore, nonce);
    }

    /// @notice ERC-3009: the same over ReceiveWithAuthorization, which only `to` may send, so that nobody runs ahead.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        require(to == msg.sender, ERC20InvalidReceiver(to));
        bytes32 structHash = keccak256(
            abi.encode(RECEIVE_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce)
        );
        _checkSigned(from, structHash, signature);
        _transferWithAuthorization(from, to, value, validAfter, validBefore, nonce);
    }

    /// @notice ERC-3009: make a nonce unusable by a signature of `authorizer` over CancelAuthorization.
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes calldata signature) external {
        _checkSigned(authorizer, keccak256(abi.encode(CANCEL_AUTHORIZATION_TYPEHASH, authorizer, nonce)), signature);
        _cancelAuthorization(authorizer, nonce);
    }

    /// @notice Seconds since 1970: the clock of the votes (ERC-6372).
    function clock() public view override returns (uint48) {
        return uint48(block.timestamp);
    }

    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    function balanceOf(address account) public view override returns (uint256) {
        return _holders[account].balance;
    }

    function totalSupply() public view override returns (uint256) {
        return _getTotalSupply();
    }

    function delegates(address account) public view override returns (address) {
        return _holders[account].delegatee;
    }

    /// @dev What leaves a holder is at most a balance, so that cast loses nothing.
    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        if (from != address(0)) {
            uint256 balance = _holders[from].balance;
            require(value <= balance, ERC20InsufficientBalance(from, balance, value));
            _holders[from].balance = uint96(balance - value);
        }
        if (to != address(0)) _holders[to].balance += value.toUint96();
        emit Transfer(from, to, value);
        _transferVotingUnits(from, to, value);
    }

    function _delegate(address account, address delegatee) internal override {
        Holder storage holder = _holders[account];
        address before = holder.delegatee;
        holder.delegatee = delegatee;
        emit DelegateChanged(account, before, delegatee);
        _moveDelegateVotes(before, delegatee, holder.balance);
    }

    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    function _checkSigned(address signer, bytes32 structHash, bytes calldata signature) private view {
        bool isSigned = SignatureChecker.isValidSignatureNowCalldata(signer, _hashTypedDataV4(structHash), signature);
        require(isSigned, ERC3009InvalidSignature());
    }
}

/// @title OPEN: the unit of every fee, stake, bond and reward.
/// @notice Fixed supply, no owner, no minter.
contract OpenToken is OpenTokenBase {
    /// @notice Whole supply, minted once: 10^9 OPEN of 18 decimals.
    uint256 public constant SUPPLY = 1_000_000_000 ether;

    /// @param holder Receives the whole supply.
    constructor(address holder) {
        _mint(holder, SUPPLY);
    }
}

/// @title OPEN on a chain whose gas is paid in OPEN: one token for each native coin deposited, and back.
/// @notice Stands where OpenToken stands elsewhere, with the same functions: no contract of the system moves native
/// coins. Supply never exceeds the coins held. The coins behind burned tokens stay here for ever, burned with them.
contract WrappedOpen is OpenTokenBase {
    /// @notice Coins came in and as many tokens were made; in wei, as WETH9 has it.
    event Deposit(address indexed account, uint256 amount);
    /// @notice Tokens were burned and as many coins went out; in wei, as WETH9 has it.
    event Withdrawal(address indexed account, uint256 amount);

    /// @notice Nothing, where there must be something.
    error ZeroAmount();

    receive() external payable {
        deposit();
    }

    /// @notice The coins sent become tokens of the caller.
    function deposit() public payable {
        require(msg.value > 0, ZeroAmount());
        emit Deposit(msg.sender, msg.value);
        _mint(msg.sender, msg.value);
    }

    /// @notice The caller's tokens become coins again.
    function withdraw(uint256 amount) external {
        require(amount > 0, ZeroAmount());
        _burn(msg.sender, amount);
        emit Withdrawal(msg.sender, amount);
        Address.sendValue(payable(msg.sender), amount);
    }
}
