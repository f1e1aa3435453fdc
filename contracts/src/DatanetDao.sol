// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Governor} from "@openzeppelin/contracts/governance/Governor.sol";
import {GovernorCountingSimple} from "@openzeppelin/contracts/governance/extensions/GovernorCountingSimple.sol";
import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IDatanetRegistry} from "./interfaces/IDatanetRegistry.sol";
import {IStakeVault} from "./interfaces/IStakeVault.sol";

/// @notice What a Datanet's DAO was made with; never changes. A DAO that wants others has itself replaced: it transfers
/// the Datanet, and its treasury, to another DAO.
/// @param votingDelayBlocks From a proposal to the block at whose end the votes are counted, at least 1.
/// @param votingPeriodBlocks Blocks in which votes are taken after that, at least 1.
/// @param quorumBps Part of the Datanet's votable stake that must vote for or abstain, in basis points, 1 to 10,000.
struct DaoSettings {
    uint64 datanetId;
    uint48 votingDelayBlocks;
    uint32 votingPeriodBlocks;
    uint16 quorumBps;
}

/// @title The owner of a Datanet, decided by who stakes in it; and its treasury: whatever this address holds.
/// @notice A Datanet becomes a DAO when its owner transfers it here. Decisions are any calls: the Datanet's parameters,
/// rules, status, grants of access, funding and spending. They pass with more votes for than against and a quorum.
/// A vote weighs what was staked at the snapshot, and still is: nobody stakes into a running vote, no wei votes twice,
/// and who has asked for his stake back votes no more.
/// @dev A clone whose arguments are in its code: no storage to initialise, so nothing to front-run. The clock counts
/// blocks, as the vault's snapshots do.
contract DatanetDao is Governor, GovernorCountingSimple {
    uint256 private constant BPS = 10_000;

    IDatanetRegistry public immutable registry;
    IStakeVault public immutable vault;

    constructor(IDatanetRegistry registry_, IStakeVault vault_) Governor("Tributary Datanet") {
        registry = registry_;
        vault = vault_;
    }

    function settings() public view returns (DaoSettings memory) {
        return abi.decode(Clones.fetchCloneArgs(address(this)), (DaoSettings));
    }

    function datanetId() external view returns (uint64) {
        return settings().datanetId;
    }

    /// @dev The name in storage is the template's; clones have no storage of it.
    function name() public pure override returns (string memory) {
        return "Tributary Datanet";
    }

    function clock() public view override returns (uint48) {
        return uint48(block.number);
    }

    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=blocknumber&from=default";
    }

    function votingDelay() public view override returns (uint256) {
        return settings().votingDelayBlocks;
    }

    function votingPeriod() public view override returns (uint256) {
        return settings().votingPeriodBlocks;
    }

    /// @notice Least stake that may propose: what it takes to vote on a batch.
    function proposalThreshold() public view override returns (uint256) {
        return registry.paramsOf(settings().datanetId).minValidatorStake;
    }

    /// @notice Votes for and abstentions that a proposal takes, of the stake at its snapshot; rounded up.
    function quorum(uint256 timepoint) public view override returns (uint256) {
        DaoSettings memory given = settings();
        uint256 votable = vault.votableAt(registry.scopeOf(given.datanetId), uint48(timepoint));
        return (votable * given.quorumBps + BPS - 1) / BPS;
    }

    function _getVotes(address account, uint256 timepoint, bytes memory) internal view override returns (uint256) {
        bytes32 scope = registry.scopeOf(settings().datanetId);
        uint128 then_ = vault.votableOfAt(scope, account, uint48(timepoint));
        uint128 now_ = vault.votableOf(scope, account);
        return then_ < now_ ? then_ : now_;
    }
}

/// @title Makes the DAO of a Datanet, at an address that follows from its settings.
contract DatanetDaoFactory {
    uint256 private constant BPS = 10_000;

    /// @notice Whose code every DAO runs.
    address public immutable implementation;

    /// @notice A Datanet has a DAO; it owns the Datanet once that is transferred to it.
    event DatanetDaoCreated(uint64 indexed datanetId, address indexed dao, DaoSettings settings);

    /// @notice There is no such Datanet.
    error UnknownDatanet(uint64 datanetId);
    /// @notice Under these nothing could ever be decided: no delay, no period, or a quorum of none or above all.
    error InvalidSettings();

    constructor(DatanetDao implementation_) {
        implementation = address(implementation_);
    }

    /// @notice Anyone; it owns nothing until the Datanet's owner transfers the Datanet to it. Once per settings.
    function create(DaoSettings calldata settings) external returns (address dao) {
        IDatanetRegistry registry = DatanetDao(payable(implementation)).registry();
        require(registry.ownerOf(settings.datanetId) != address(0), UnknownDatanet(settings.datanetId));
        bool isValid = settings.votingDelayBlocks > 0 && settings.votingPeriodBlocks > 0 && settings.quorumBps > 0
            && settings.quorumBps <= BPS;
        require(isValid, InvalidSettings());
        dao = Clones.cloneDeterministicWithImmutableArgs(implementation, abi.encode(settings), bytes32(0));
        emit DatanetDaoCreated(settings.datanetId, dao, settings);
    }

    function daoOf(DaoSettings calldata settings) external view returns (address) {
        return Clones.predictDeterministicAddressWithImmutableArgs(implementation, abi.encode(settings), bytes32(0));
    }
}
