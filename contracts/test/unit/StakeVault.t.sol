// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IStakeVault} from "../../src/interfaces/IStakeVault.sol";
import {Base, vm} from "../Base.sol";

contract StakeVaultTest is Base {
    bytes32 private constant SCOPE = "scope";
    address private alice = address(0xA11CE);
    address private registry;

    function setUp() public override {
        super.setUp();
        registry = address(datanets);
        fund(alice, address(vault), 1_000);
        fund(address(this), address(vault), 1_000);
    }

    function stakeOf(address account) private view returns (uint128 amount) {
        (amount,,) = vault.stakeOf(SCOPE, account);
    }

    function stake(uint128 amount) private {
        vm.prank(alice);
        vault.stake(SCOPE, amount);
    }

    function requestUnstake() private {
        vm.prank(alice);
        vault.requestUnstake(SCOPE);
    }

    function test_stakes_add_up_and_count_in_votes() public {
        stake(100);
        vm.expectEmit();
        emit IStakeVault.Staked(SCOPE, alice, 50, 150, 150);
        vault.stakeFor(SCOPE, alice, 50);
        eq(stakeOf(alice), 150, "stake");
        eq(vault.votable(SCOPE), 150, "votable");
        eq(vault.votableOf(SCOPE, alice), 150, "votable of alice");
        eq(vault.totalStaked(), 150, "total");
        eq(token.balanceOf(address(vault)), 150, "custody");
    }

    function test_refuses_a_stake_of_nothing() public {
        refuse(abi.encodeWithSelector(IStakeVault.ZeroAmount.selector));
        vault.stake(SCOPE, 0);
        refuse(abi.encodeWithSelector(IStakeVault.ZeroAmount.selector));
        vault.requestUnstake(SCOPE);
    }

    function test_an_exiting_stake_loses_its_votes_at_once_and_its_tokens_after_the_cooldown() public {
        stake(100);
        uint64 unlockAt = uint64(block.timestamp) + COOLDOWN;
        vm.expectEmit();
        emit IStakeVault.UnstakeRequested(SCOPE, alice, 100, unlockAt, 0);
        requestUnstake();
        eq(vault.votable(SCOPE), 0, "votable");
        vm.warp(unlockAt - 1);
        refuse(abi.encodeWithSelector(IStakeVault.StakeInCooldown.selector, unlockAt));
        vm.prank(alice);
        vault.unstake(SCOPE);
        vm.warp(unlockAt);
        vm.prank(alice);
        vault.unstake(SCOPE);
        eq(token.balanceOf(alice), 1_000, "alice");
        eq(vault.totalStaked(), 0, "total");
    }

    function test_refuses_to_request_twice_or_to_add_to_an_exiting_stake() public {
        stake(100);
        uint64 unlockAt = uint64(block.timestamp) + COOLDOWN;
        requestUnstake();
        bytes memory error_ = abi.encodeWithSelector(IStakeVault.UnstakeAlreadyRequested.selector, unlockAt);
        refuse(error_);
        requestUnstake();
        refuse(error_);
        vault.stakeFor(SCOPE, alice, 1);
        eq(vault.votable(SCOPE), 0, "votable was subtracted once");
    }

    function test_refuses_to_unstake_without_a_request() public {
        stake(100);
        refuse(abi.encodeWithSelector(IStakeVault.NoUnstakeRequested.selector));
        vm.prank(alice);
        vault.unstake(SCOPE);
    }

    function test_a_locked_stake_cannot_leave_even_after_the_cooldown() public {
        stake(100);
        vm.prank(registry);
        vault.lock(SCOPE, alice, "lock");
        requestUnstake();
        pass(COOLDOWN);
        refuse(abi.encodeWithSelector(IStakeVault.StakeIsLocked.selector, 1));
        vm.prank(alice);
        vault.unstake(SCOPE);
        vm.prank(registry);
        vault.release(SCOPE, alice, "lock");
        vm.prank(alice);
        vault.unstake(SCOPE);
        eq(token.balanceOf(alice), 1_000, "alice");
    }

    function test_slashes_to_the_treasury_also_an_exiting_stake() public {
        stake(100);
        vm.prank(registry);
        vault.slash(SCOPE, alice, 1_000, "r", "e");
        eq(vault.votable(SCOPE), 90, "votable follows");
        requestUnstake();
        vm.expectEmit();
        emit IStakeVault.Slashed(SCOPE, alice, "r", 45, 45, treasury, "e");
        vm.prank(registry);
        vault.slash(SCOPE, alice, 5_000, "r", "e");
        eq(vault.votable(SCOPE), 0, "votable untouched");
        eq(token.balanceOf(treasury), 55, "treasury");
        eq(vault.totalSlashed(), 55, "slashed");
        eq(vault.totalStaked(), 45, "staked");
    }

    function test_refuses_a_slash_above_the_cap() public {
        stake(100);
        refuse(abi.encodeWithSelector(IStakeVault.SlashTooLarge.selector, 5_001, 5_000));
        vm.prank(registry);
        vault.slash(SCOPE, alice, 5_001, "r", "e");
    }

    function test_only_the_registry_locks_releases_and_slashes() public {
        bytes memory error_ = abi.encodeWithSelector(IStakeVault.NotRegistry.selector, address(this));
        refuse(error_);
        vault.lock(SCOPE, alice, "lock");
        refuse(error_);
        vault.release(SCOPE, alice, "lock");
        refuse(error_);
        vault.slash(SCOPE, alice, 1, "r", "e");
    }

    function test_past_votes_are_those_at_the_end_of_the_block() public {
        stake(100);
        uint48 stakedAt = uint48(block.number);
        refuse(abi.encodeWithSelector(IStakeVault.NotInThePast.selector, stakedAt));
        vault.votableAt(SCOPE, stakedAt);
        refuse(abi.encodeWithSelector(IStakeVault.NotInThePast.selector, stakedAt));
        vault.votableOfAt(SCOPE, alice, stakedAt);
        vm.roll(stakedAt + 10);
        stake(50);
        vm.roll(stakedAt + 20);
        requestUnstake();
        vm.roll(stakedAt + 21);
        eq(vault.votableOfAt(SCOPE, alice, stakedAt - 1), 0, "before");
        eq(vault.votableOfAt(SCOPE, alice, stakedAt), 100, "first");
        eq(vault.votableAt(SCOPE, stakedAt + 10), 150, "second");
        eq(vault.votableAt(SCOPE, stakedAt + 20), 0, "exit");
    }

    function testFuzz_a_slash_takes_its_share_rounded_down_and_conserves(uint128 amount, uint16 bps) public {
        amount = uint128(bound(amount, 1, token.SUPPLY() / 2));
        bps = uint16(bound(bps, 0, 5_000));
        fund(alice, address(vault), amount);
        stake(amount);
        vm.prank(registry);
        uint128 taken = vault.slash(SCOPE, alice, bps, "r", "e");
        eq(taken, (uint256(amount) * bps) / 10_000, "taken");
        eq(stakeOf(alice) + taken, amount, "conserved");
        eq(token.balanceOf(treasury), taken, "treasury");
        eq(token.balanceOf(address(vault)), vault.totalStaked(), "custody");
    }
}
