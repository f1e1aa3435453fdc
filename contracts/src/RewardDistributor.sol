// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IRewardDistributor} from "./interfaces/IRewardDistributor.sol";

/// @title Pays what the newest final root says, cumulatively. Immutable: no owner, no sweep, no pause.
/// @notice A wrong root that survived its challenge window can misdirect at most rootTotal − totalClaimed: the
/// contract does not know whether the leaves sum to rootTotal.
contract RewardDistributor is IRewardDistributor, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev All that a claim reads and writes besides the account's own: one slot. Sums of a token whose supply is below
    /// 2^96, and never above what was funded.
    struct Live {
        uint64 epoch;
        uint96 rootTotal;
        uint96 totalClaimed;
    }

    IERC20 public immutable token;
    /// @notice Only this address activates roots.
    address public immutable ledger;

    /// @inheritdoc IRewardDistributor
    bytes32 public root;
    /// @inheritdoc IRewardDistributor
    uint128 public totalFunded;
    Live private _live;
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
        uint128 previous = _live.rootTotal;
        require(rootTotal_ >= previous, RootTotalBelowPrevious(rootTotal_, previous));
        require(rootTotal_ <= totalFunded, RootTotalAboveFunds(rootTotal_, totalFunded));
        root = root_;
        _live.epoch = epoch_;
        _live.rootTotal = SafeCast.toUint96(rootTotal_);
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

    /// @inheritdoc IRewardDistributor
    function epoch() external view returns (uint64) {
        return _live.epoch;
    }

    /// @inheritdoc IRewardDistributor
    function rootTotal() external view returns (uint128) {
        return _live.rootTotal;
    }

    /// @inheritdoc IRewardDistributor
    function totalClaimed() external view returns (uint128) {
        return _live.totalClaimed;
    }

    /// @dev The caller has checked cumulative > claimed[account].
    function _pay(address account, address recipient, uint128 cumulative, bytes32[] calldata proof) private {
        bool isProven = MerkleProof.verifyCalldata(proof, root, leafOf(account, cumulative));
        require(isProven, InvalidProof(account, cumulative));
        uint128 amount = cumulative - claimed[account];
        Live memory live = _live;
        uint128 newTotalClaimed = live.totalClaimed + amount;
        require(newTotalClaimed <= live.rootTotal, ClaimAboveRootTotal(newTotalClaimed, live.rootTotal));
        claimed[account] = cumulative;
        live.totalClaimed = uint96(newTotalClaimed); // At most rootTotal.
        _live = live;
        emit Claimed(account, live.epoch, recipient, amount, cumulative, newTotalClaimed);
        token.safeTransfer(recipient, amount);
    }
}
