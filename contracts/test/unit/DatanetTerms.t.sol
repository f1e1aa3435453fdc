// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IAttributionLedger} from "../../src/interfaces/IAttributionLedger.sol";
import {IDatanetAccess} from "../../src/interfaces/IDatanetAccess.sol";
import {IDatanetRegistry} from "../../src/interfaces/IDatanetRegistry.sol";
import {Permissioned} from "../../src/Permissioned.sol";
import {Base, vm} from "../Base.sol";

/// @notice What a Datanet's owner may change, what stays for running batches, access, quality and usage.
contract DatanetTermsTest is Base {
    address private contributor = address(0xC0);
    address private validator = address(0x7A);
    address private second = address(0x7B);
    address private trainer = address(0x74);

    function setUp() public override {
        super.setUp();
        datanets.createDatanet("meta", "uri", params(100));
        bytes32 scope = datanets.scopeOf(1);
        address[3] memory stakers = [contributor, validator, second];
        for (uint256 i = 0; i < 3; i++) {
            fund(stakers[i], address(vault), 300);
            vm.prank(stakers[i]);
            vault.stake(scope, i == 2 ? 300 : 100);
        }
        pass(1);
    }

    function params(uint128 minValidatorStake) private pure returns (IDatanetRegistry.DatanetParams memory) {
        return IDatanetRegistry.DatanetParams(100, minValidatorStake, 1 days, 5_000, 1_000, 500, 1_000);
    }

    function submit(bytes32 root) private returns (uint64) {
        vm.prank(contributor);
        return datanets.submitContribution(1, root, 3, 0, 0, "");
    }

    function cast(uint64 batchId, address voter, bool support, uint16 quality) private {
        vm.prank(voter);
        datanets.vote(batchId, support, quality);
    }

    function test_new_terms_hold_for_new_batches_only() public {
        uint64 running = submit("running");
        IDatanetRegistry.DatanetParams memory next = params(101);
        next.votingPeriodSeconds = 2 days;
        next.slashBps = 5_000;
        vm.expectEmit();
        emit IDatanetRegistry.DatanetParamsUpdated(1, params(100), next);
        datanets.updateParams(1, next);
        cast(running, validator, true, 9_000);
        uint64 later = submit("later");
        eq(datanets.batchOf(running).slashBps, 1_000, "running");
        eq(datanets.batchOf(later).slashBps, 5_000, "later");
        eq(datanets.batchOf(later).voteEnd, uint64(block.timestamp) + 2 days, "later's vote");
        refuse(abi.encodeWithSelector(IDatanetRegistry.StakeTooSmall.selector, 100, 101));
        cast(later, validator, true, 9_000);
    }

    function test_shares_never_change_and_only_the_owner_changes_the_rest() public {
        IDatanetRegistry.DatanetParams memory next = params(100);
        next.ownerBps = 501;
        refuse(abi.encodeWithSelector(IDatanetRegistry.InvalidParams.selector));
        datanets.updateParams(1, next);
        next = params(100);
        next.validatorBps = 999;
        refuse(abi.encodeWithSelector(IDatanetRegistry.InvalidParams.selector));
        datanets.updateParams(1, next);
        refuse(abi.encodeWithSelector(IDatanetRegistry.InvalidParams.selector));
        datanets.updateParams(1, params(0));
        bytes memory notOwner = abi.encodeWithSelector(IDatanetAccess.NotDatanetOwner.selector, trainer);
        vm.startPrank(trainer);
        refuse(notOwner);
        datanets.updateParams(1, params(1));
        refuse(notOwner);
        datanets.setRules(1, "f", "r");
        refuse(notOwner);
        datanets.setStatus(1, 1);
        refuse(notOwner);
        datanets.transferOwnership(1, trainer);
        vm.stopPrank();
    }

    function test_rules_and_status_are_on_the_record() public {
        vm.expectEmit();
        emit IDatanetRegistry.DatanetRulesSet(1, 1, "format", "rule");
        datanets.setRules(1, "format", "rule");
        (bytes32 format, bytes32 rule) = datanets.rulesOf(1);
        vm.assertTrue(format == "format" && rule == "rule", "rules");
        vm.expectEmit();
        emit IDatanetRegistry.DatanetStatusChanged(1, 0, 1);
        datanets.setStatus(1, 1);
        refuse(abi.encodeWithSelector(IDatanetRegistry.DatanetClosed.selector, 1));
        submit("closed");
        datanets.setStatus(1, 0);
        submit("open");
        refuse(abi.encodeWithSelector(IDatanetRegistry.InvalidParams.selector));
        datanets.setStatus(1, 2);
    }

    function test_a_batch_keeps_the_rules_of_its_submission() public {
        uint64 before = submit("before");
        datanets.setRules(1, "format", "rule");
        uint64 first = submit("first");
        datanets.setRules(1, "format 2", "rule");
        uint64 later = submit("later");
        bytes32[3] memory expected = [bytes32(0), "format", "format 2"];
        uint64[3] memory ids = [before, first, later];
        for (uint256 i = 0; i < 3; i++) {
            (bytes32 format, bytes32 rule) = datanets.rulesOfBatch(ids[i]);
            eq(format, expected[i], "format");
            eq(rule, i == 0 ? bytes32(0) : bytes32("rule"), "rule");
        }
    }

    function test_a_datanet_changes_hands() public {
        refuse(abi.encodeWithSelector(IDatanetRegistry.ZeroOwner.selector));
        datanets.transferOwnership(1, address(0));
        datanets.setStatus(1, 1);
        datanets.setRules(1, "format", "rule");
        vm.expectEmit();
        emit IDatanetRegistry.DatanetOwnershipTransferred(1, address(this), trainer);
        datanets.transferOwnership(1, trainer);
        eq(datanets.ownerOf(1), trainer, "new owner");
        eq(datanets.statusOf(1), 1, "status stays");
        (bytes32 format,) = datanets.rulesOf(1);
        eq(format, "format", "rules stay");
        refuse(abi.encodeWithSelector(IDatanetAccess.NotDatanetOwner.selector, address(this)));
        datanets.setStatus(1, 0);
        vm.prank(trainer);
        datanets.setStatus(1, 0);
    }

    function test_a_batch_is_scored_by_the_mean_of_the_votes_by_weight() public {
        uint64 batchId = submit("batch");
        uint64 silent = submit("silent");
        cast(batchId, validator, true, 9_000); // Weight 100.
        cast(batchId, second, false, 1_001); // Weight 300.
        vm.expectEmit();
        emit IDatanetRegistry.ContributionScored(1, batchId, 3_000);
        datanets.resolve(batchId);
        eq(datanets.qualityOf(batchId), 3_000, "(100 x 9,000 + 300 x 1,001) / 400, rounded down");
        pass(1 days);
        datanets.resolve(silent);
        eq(datanets.qualityOf(silent), 0, "nobody voted");
    }

    function test_access_is_asked_for_granted_until_a_date_and_taken_back() public {
        vm.expectEmit();
        emit IDatanetAccess.AccessRequested(1, 1, trainer, "purpose", "to train");
        vm.prank(trainer);
        datanets.requestAccess(1, "purpose", "to train");
        uint64 until = uint64(block.timestamp) + 30 days;
        refuse(abi.encodeWithSelector(IDatanetAccess.NotDatanetOwner.selector, trainer));
        vm.prank(trainer);
        datanets.grantAccess(1, until, "key");
        refuse(abi.encodeWithSelector(IDatanetAccess.ExpiryInThePast.selector, block.timestamp));
        datanets.grantAccess(1, uint64(block.timestamp), "key");
        refuse(abi.encodeWithSelector(IDatanetAccess.WrappedKeyTooLarge.selector, 1_025, 1_024));
        datanets.grantAccess(1, until, new bytes(1_025));
        vm.expectEmit();
        emit IDatanetAccess.AccessGranted(1, 1, trainer, until, "key");
        datanets.grantAccess(1, until, "key");
        eq(datanets.accessUntil(1, trainer), until, "granted");
        refuse(abi.encodeWithSelector(IDatanetAccess.WrongRequestState.selector, 2));
        datanets.grantAccess(1, until, "key");
        vm.expectEmit();
        emit IDatanetAccess.AccessRefused(1, 1, trainer, "misuse", true);
        datanets.refuseAccess(1, "misuse");
        eq(datanets.accessUntil(1, trainer), 0, "revoked");
        (uint64 datanetId, address account, uint8 state, uint64 expiresAt, bytes32 purposeHash) =
            datanets.accessRequestOf(1);
        vm.assertTrue(datanetId == 1 && account == trainer && state == 3 && expiresAt == until, "recorded");
        eq(purposeHash, "purpose", "purpose");
        refuse(abi.encodeWithSelector(IDatanetAccess.WrongRequestState.selector, 3));
        datanets.refuseAccess(1, "again");
        refuse(abi.encodeWithSelector(IDatanetAccess.UnknownRequest.selector, 2));
        datanets.refuseAccess(2, "none");
        refuse(abi.encodeWithSelector(IDatanetAccess.UnknownDatanet.selector, 7));
        datanets.requestAccess(7, "", "why");
        refuse(abi.encodeWithSelector(IDatanetAccess.PurposeLength.selector, 0, 1_024));
        datanets.requestAccess(1, "", "");
        refuse(abi.encodeWithSelector(IDatanetAccess.PurposeLength.selector, 1_025, 1_024));
        datanets.requestAccess(1, "", string(new bytes(1_025)));
    }

    function test_a_grant_ends_by_itself_at_its_expiry() public {
        vm.prank(trainer);
        datanets.requestAccess(1, "", "to train");
        vm.assertTrue(!datanets.hasAccess(1, trainer), "not yet");
        uint64 until = uint64(block.timestamp) + 1 days;
        datanets.grantAccess(1, until, "");
        pass(1 days - 1);
        vm.assertTrue(datanets.hasAccess(1, trainer), "to the last second");
        pass(1);
        vm.assertTrue(!datanets.hasAccess(1, trainer), "over");
        eq(datanets.accessUntil(1, trainer), until, "recorded");
    }

    function test_refusing_an_earlier_request_leaves_a_later_grant() public {
        for (uint64 i = 1; i <= 2; i++) {
            vm.prank(trainer);
            datanets.requestAccess(1, "", "why");
            datanets.grantAccess(i, uint64(block.timestamp) + i * 1 days, "");
        }
        datanets.refuseAccess(1, "old");
        eq(datanets.accessUntil(1, trainer), block.timestamp + 2 days, "stays");
    }

    function usage(uint64 datanetId, bytes32 root) private pure returns (IDatanetRegistry.Usage[] memory usages) {
        usages = new IDatanetRegistry.Usage[](1);
        usages[0] = IDatanetRegistry.Usage(datanetId, root, 5);
    }

    function refuseUsage(bytes memory error_, uint64 epoch, IDatanetRegistry.Usage[] memory usages) private {
        refuse(error_);
        vm.prank(poster);
        datanets.recordUsage(epoch, usages);
    }

    function test_usage_is_recorded_once_for_a_final_epoch_by_the_poster() public {
        refuse(abi.encodeWithSelector(Permissioned.NotPermitted.selector, address(this)));
        datanets.recordUsage(1, usage(1, "usage"));
        bytes memory notFinal = abi.encodeWithSelector(IDatanetRegistry.EpochNotFinal.selector, 1);
        refuseUsage(notFinal, 1, usage(1, "usage"));
        finalizeEpoch();
        datanets.createDatanet("meta", "uri", params(100));
        IDatanetRegistry.Usage[] memory both = new IDatanetRegistry.Usage[](2);
        both[0] = IDatanetRegistry.Usage(1, "usage", 5);
        both[1] = IDatanetRegistry.Usage(2, "other", 7);
        vm.expectEmit();
        emit IDatanetRegistry.DatanetUsageRecorded(1, 1, "usage", 5);
        vm.expectEmit();
        emit IDatanetRegistry.DatanetUsageRecorded(1, 2, "other", 7);
        vm.prank(poster);
        datanets.recordUsage(1, both);
        eq(datanets.usageRootOf(1, 1), "usage", "root");
        eq(datanets.usageRootOf(1, 2), "other", "other root");
        bytes memory twice = abi.encodeWithSelector(IDatanetRegistry.UsageAlreadyRecorded.selector, 1, 1);
        refuseUsage(twice, 1, usage(1, "again"));
        refuseUsage(abi.encodeWithSelector(IDatanetAccess.UnknownDatanet.selector, 9), 1, usage(9, "usage"));
        refuseUsage(abi.encodeWithSelector(IDatanetRegistry.ZeroRoot.selector), 1, usage(1, 0));
        refuseUsage(abi.encodeWithSelector(IDatanetRegistry.EpochNotFinal.selector, 0), 0, usage(1, "usage"));
    }

    function finalizeEpoch() private {
        fund(poster, address(ledger), BOND);
        IAttributionLedger.EpochHeader memory header =
            IAttributionLedger.EpochHeader("r", "a", 0, 0, 0, uint64(block.number) - 1, 0, 0, keccak256(""));
        vm.prank(poster);
        ledger.propose(1, header, "");
        pass(WINDOW);
        ledger.finalize(1, header);
    }
}
