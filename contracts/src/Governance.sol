// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {Governor} from "@openzeppelin/contracts/governance/Governor.sol";
import {GovernorCountingSimple} from "@openzeppelin/contracts/governance/extensions/GovernorCountingSimple.sol";
import {GovernorPreventLateQuorum} from "@openzeppelin/contracts/governance/extensions/GovernorPreventLateQuorum.sol";
import {GovernorSettings} from "@openzeppelin/contracts/governance/extensions/GovernorSettings.sol";
import {GovernorTimelockControl} from "@openzeppelin/contracts/governance/extensions/GovernorTimelockControl.sol";
import {GovernorVotes} from "@openzeppelin/contracts/governance/extensions/GovernorVotes.sol";
import {
    GovernorVotesQuorumFraction
} from "@openzeppelin/contracts/governance/extensions/GovernorVotesQuorumFraction.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

/// @title All permissions of the system, as roles. Its admin is the Timelock.
contract Permissions is AccessManager {
    /// @notice Proposes epochs and records usage: a hot key.
    uint64 public constant POSTER = 1;
    /// @notice Rules on disputes and reports.
    uint64 public constant ARBITER = 2;
    /// @notice Pauses new epochs and new batches, nothing else.
    uint64 public constant GUARDIAN = 3;

    constructor(address admin) AccessManager(admin) {}
}

/// @title Delays what the Governor decided. It has no admin but itself; anyone executes what is due.
contract Timelock is TimelockController {
    constructor(uint256 delaySeconds, address governor)
        TimelockController(delaySeconds, _one(governor), _one(address(0)), address(0))
    {}

    function _one(address account) private pure returns (address[] memory accounts) {
        accounts = new address[](1);
        accounts[0] = account;
    }
}

/// @title A registry's address; its code is in another contract (Upgradeable).
contract RegistryProxy is ERC1967Proxy {
    constructor(address code) ERC1967Proxy(code, "") {}

    /// @dev A registry may be made without an initialiser: its code has none.
    function _unsafeAllowUninitialized() internal pure override returns (bool) {
        return true;
    }
}

/// @title Decisions of the holders of OPEN. Immutable; changes of its settings go through its own votes.
/// @notice A quorum is a fraction of the supply; one that is reached late extends the vote. Proposals may end in
/// "#proposer=0x…" so that nobody proposes them first (OpenZeppelin).
contract TributaryGovernor is
    Governor,
    GovernorSettings,
    GovernorCountingSimple,
    GovernorVotes,
    GovernorVotesQuorumFraction,
    GovernorPreventLateQuorum,
    GovernorTimelockControl
{
    /// @notice Percent of the supply whose votes make a quorum.
    uint256 public constant QUORUM_PERCENT = 4;
    /// @notice Votes it takes to propose: 0.001 % of the supply.
    uint256 public constant PROPOSAL_THRESHOLD = 10_000 ether;

    constructor(
        IVotes token_,
        TimelockController timelock_,
        uint48 votingDelaySeconds,
        uint32 votingPeriodSeconds,
        uint48 lateQuorumSeconds
    )
        Governor("Tributary Governor")
        GovernorSettings(votingDelaySeconds, votingPeriodSeconds, PROPOSAL_THRESHOLD)
        GovernorVotes(token_)
        GovernorVotesQuorumFraction(QUORUM_PERCENT)
        GovernorPreventLateQuorum(lateQuorumSeconds)
        GovernorTimelockControl(timelock_)
    {}

    function proposalThreshold() public view override(Governor, GovernorSettings) returns (uint256) {
        return super.proposalThreshold();
    }

    function proposalDeadline(uint256 proposalId)
        public
        view
        override(Governor, GovernorPreventLateQuorum)
        returns (uint256)
    {
        return super.proposalDeadline(proposalId);
    }

    function state(uint256 proposalId) public view override(Governor, GovernorTimelockControl) returns (ProposalState) {
        return super.state(proposalId);
    }

    function proposalNeedsQueuing(uint256 proposalId)
        public
        view
        override(Governor, GovernorTimelockControl)
        returns (bool)
    {
        return super.proposalNeedsQueuing(proposalId);
    }

    function _tallyUpdated(uint256 proposalId) internal override(Governor, GovernorPreventLateQuorum) {
        super._tallyUpdated(proposalId);
    }

    function _queueOperations(
        uint256 proposalId,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) returns (uint48) {
        return super._queueOperations(proposalId, targets, values, calldatas, descriptionHash);
    }

    function _executeOperations(
        uint256 proposalId,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) {
        super._executeOperations(proposalId, targets, values, calldatas, descriptionHash);
    }

    function _cancel(
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) returns (uint256) {
        return super._cancel(targets, values, calldatas, descriptionHash);
    }

    function _executor() internal view override(Governor, GovernorTimelockControl) returns (address) {
        return super._executor();
    }
}
