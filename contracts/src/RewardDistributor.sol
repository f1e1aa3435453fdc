// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IRewardDistributor} from "./interfaces/IRewardDistributor.sol";

/// @title Pays what the newest final root says, cumulatively. Immutable: no owner, no sweep, no pause.
/// @notice A wrong root that survived its challenge window can misdirect at most rootTotal − totalClaimed: the
/// contract does not know whether the leaves sum to rootTotal.
contract RewardDistributor is IRewardDistributor, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    IERC20 public immutable token;
    /// @notice Only this address activates roots.
    address public immutable ledger;

    /// @inheritdoc IRewardDistributor
    bytes32 public root;
    /// @inheritdoc IRewardDistributor
    uint64 public epoch;
    /// @inheritdoc IRewardDistributor
    uint128 public rootTotal;
    /// @inheritdoc IRewardDistributor
    uint128 public totalFunded;
    /// @inheritdoc IRewardDistributor
    uint128 public totalClaimed;
    /// @inheritdoc IRewardDistributor
    mapping(address account => uint128) public claimed;
    /// @inheritdoc IRewardDistributor
    mapping(address account => address) public claimerFor;

    constructor(IERC20 token_, address ledger_) {
        token = token_;
        ledger = ledger_;
    }

    /// @inheritdoc IRewardDistributor
    function fund(uint128 amount) external nonReentrant {
        require(amount > 0, ZeroAmount());
        uint128 newTotalFunded = totalFunded + amount;
        totalFunded = newTotalFunded;
        emit Funded(msg.sender, amount, newTotalFunded);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IRewardDistributor
    function activateRoot(uint64 epoch_, bytes32 root_, uint128 rootTotal_) external {
        require(msg.sender == ledger, NotLedger(msg.sender));
        require(root_ != bytes32(0), ZeroRoot());
        require(rootTotal_ >= rootTotal, RootTotalBelowPrevious(rootTotal_, rootTotal));
        require(rootTotal_ <= totalFunded, RootTotalAboveFunds(rootTotal_, totalFunded));
        root = root_;
        epoch = epoch_;
        rootTotal = rootTotal_;
        emit RootActivated(epoch_, root_, rootTotal_);
    }

    /// @inheritdoc IRewardDistributor
    function claim(address account, uint128 cumulative, bytes32[] calldata proof) external nonReentrant {
        require(cumulative > claimed[account], NothingToClaim(account, cumulative));
        _pay(account, account, cumulative, proof);
    }

    /// @inheritdoc IRewardDistributor
    function claimTo(address account, address recipient, uint128 cumulative, bytes32[] calldata proof)
        external
        nonReentrant
    {
        require(msg.sender == account || msg.sender == claimerFor[account], NotClaimer(msg.sender));
        require(cumulative > claimed[account], NothingToClaim(account, cumulative));
        _pay(account, recipient, cumulative, proof);
    }

    /// @inheritdoc IRewardDistributor
    function claimMany(ClaimItem[] calldata items) external nonReentrant {
        for (uint256 i = 0; i < items.length; i++) {
            ClaimItem calldata item = items[i];
            if (item.cumulative <= claimed[item.account]) continue;
            _pay(item.account, item.account, item.cumulative, item.proof);
        }
    }

    /// @inheritdoc IRewardDistributor
    function setClaimer(address claimer) external {
        claimerFor[msg.sender] = claimer;
        emit ClaimerSet(msg.sender, claimer);
    }

    /// @inheritdoc IRewardDistributor
    /// @dev Hashed twice, so that no inner node of the tree can be read as a leaf.
    function leafOf(address account, uint128 cumulative) public view returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(block.chainid, address(this), account, cumulative))));
    }

    /// @dev The caller has checked cumulative > claimed[account].
    function _pay(address account, address recipient, uint128 cumulative, bytes32[] calldata proof) private {
        bool isProven = MerkleProof.verifyCalldata(proof, root, leafOf(account, cumulative));
        require(isProven, InvalidProof(account, cumulative));
        uint128 amount = cumulative - claimed[account];
        uint128 newTotalClaimed = totalClaimed + amount;
        require(newTotalClaimed <= rootTotal, ClaimAboveRootTotal(newTotalClaimed, rootTotal));
        claimed[account] = cumulative;
        totalClaimed = newTotalClaimed;
        emit Claimed(account, epoch, recipient, amount, cumulative, newTotalClaimed);
        token.safeTransfer(recipient, amount);
    }
}
