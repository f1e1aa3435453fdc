// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {StakeVault} from "../../src/StakeVault.sol";
import {IStakeVault} from "../../src/interfaces/IStakeVault.sol";
import {Base, vm} from "../Base.sol";

contract StakeVaultTest is Base {
    using Checkpoints for Checkpoints.Trace208;

    uint256 private constant ID = 5;
    bytes32 private constant SCOPE = keccak256(abi.encode("datanet", ID));
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
        vm.prank(alice);
        token.approve(address(vault), 70);
        stake(70);
        eq(vault.votableOf(SCOPE, alice), 70, "who left may come back, and votes");
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

    function test_an_exit_can_be_called_off_and_the_stake_votes_again() public {
        stake(100);
        refuse(abi.encodeWithSelector(IStakeVault.NoUnstakeRequested.selector));
        vm.prank(alice);
        vault.cancelUnstake(SCOPE);
        requestUnstake();
        pass(COOLDOWN);
        vm.expectEmit();
        emit IStakeVault.UnstakeCancelled(SCOPE, alice, 100);
        vm.prank(alice);
        vault.cancelUnstake(SCOPE);
        eq(vault.votableOf(SCOPE, alice), 100, "votes");
        eq(vault.votable(SCOPE), 100, "of all");
        refuse(abi.encodeWithSelector(IStakeVault.NoUnstakeRequested.selector));
        vm.prank(alice);
        vault.unstake(SCOPE);
        pass(1);
        eq(vault.votableOfAt(SCOPE, alice, uint48(block.number) - 2), 0, "not while it was leaving");
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
        vault.lock(ID, alice, "lock");
        requestUnstake();
        pass(COOLDOWN);
        refuse(abi.encodeWithSelector(IStakeVault.StakeIsLocked.selector, 1));
        vm.prank(alice);
        vault.unstake(SCOPE);
        vm.prank(registry);
        vault.release(ID, alice, "lock");
        vm.prank(alice);
        vault.unstake(SCOPE);
        eq(token.balanceOf(alice), 1_000, "alice");
    }

    function test_slashes_to_the_treasury_also_an_exiting_stake() public {
        stake(100);
        vm.prank(registry);
        vault.slash(ID, alice, 1_000, "r", "e", address(0));
        eq(vault.votable(SCOPE), 90, "votable follows");
        requestUnstake();
        vm.expectEmit();
        emit IStakeVault.Slashed(SCOPE, alice, "r", 45, 45, treasury, "e");
        vm.prank(registry);
        vault.slash(ID, alice, 5_000, "r", "e", address(0));
        eq(vault.votable(SCOPE), 0, "votable untouched");
        eq(token.balanceOf(treasury), 55, "treasury");
        eq(vault.totalSlashed(), 55, "slashed");
        eq(vault.totalStaked(), 45, "staked");
    }

    function test_refuses_a_slash_above_the_cap() public {
        stake(100);
        refuse(abi.encodeWithSelector(IStakeVault.SlashTooLarge.selector, 5_001, 5_000));
        vm.prank(registry);
        vault.slash(ID, alice, 5_001, "r", "e", address(0));
    }

    function test_only_controllers_lock_release_and_slash_each_in_its_own_scopes() public {
        stake(100);
        address[2] memory others = [address(hub), address(proposals)];
        for (uint256 i = 0; i < 2; i++) {
            vm.prank(others[i]);
            vault.lock(ID, alice, "lock");
            vm.prank(others[i]);
            eq(vault.slash(ID, alice, 5_000, "r", "e", address(0)), 0, "nothing is staked there");
        }
        (uint128 amount,, uint32 locks) = vault.stakeOf(SCOPE, alice);
        eq(amount, 100, "untouched");
        eq(locks, 0, "not locked");
        (,, locks) = vault.stakeOf(keccak256(abi.encode("node", ID)), alice);
        eq(locks, 1, "the hub's");
        (,, locks) = vault.stakeOf(keccak256(abi.encode("model", ID)), alice);
        eq(locks, 1, "the proposals'");
        bytes memory error_ = abi.encodeWithSelector(IStakeVault.NotController.selector, alice);
        refuse(error_);
        vm.prank(alice);
        vault.lock(ID, alice, "lock");
        refuse(error_);
        vm.prank(alice);
        vault.release(ID, alice, "lock");
        refuse(error_);
        vm.prank(alice);
        vault.slash(ID, alice, 1, "r", "e", address(0));
    }

    function test_a_reporter_has_a_fifth_and_the_rest_is_burned() public {
        stake(100);
        uint256 supply = token.totalSupply();
        vm.expectEmit();
        emit IStakeVault.Slashed(SCOPE, alice, "r", 9, 91, address(0xB0B), "e");
        vm.expectEmit();
        emit IStakeVault.Slashed(SCOPE, alice, "r", 38, 53, address(0), "e");
        vm.prank(registry);
        eq(vault.slash(ID, alice, 4_700, "r", "e", address(0xB0B)), 47, "taken");
        eq(token.balanceOf(address(0xB0B)), 9, "reporter");
        eq(supply - token.totalSupply(), 38, "burned");
        eq(vault.votable(SCOPE), 53, "votable");
        eq(vault.totalSlashed(), 47, "slashed");
    }

    function test_refuses_a_stake_that_does_not_fit_and_a_cooldown_that_nobody_outlives() public {
        stake(100);
        uint256 max = type(uint96).max;
        refuse(abi.encodeWithSelector(IStakeVault.StakeTooLarge.selector, max + 1, max));
        stake(uint128(max - 99));
        refuse(abi.encodeWithSelector(IStakeVault.CooldownTooLong.selector, 365 days + 1, 365 days));
        new StakeVault(token, registry, address(hub), address(proposals), treasury, 365 days + 1);
        new StakeVault(token, registry, address(hub), address(proposals), treasury, 365 days);
    }

    mapping(address account => Checkpoints.Trace208) private expectedOf;
    Checkpoints.Trace208 private expected;

    /// OpenZeppelin's checkpoints are told the same story and must answer the same.
    function testFuzz_past_votes_are_those_of_a_plain_list_of_checkpoints(uint256 seed) public {
        uint48 first = uint48(block.number);
        for (uint256 i = 0; i < 16; i++) {
            seed = uint256(keccak256(abi.encode(seed)));
            if (seed % 3 != 0) vm.roll(block.number + (seed >> 8) % 3);
            change(seed % 2 == 0 ? alice : address(this), (seed >> 16) % 4, uint128(1 + (seed >> 32) % 20));
        }
        vm.roll(block.number + 2);
        for (uint48 at = first - 1; at < block.number; at++) {
            eq(vault.votableAt(SCOPE, at), expected.upperLookup(at), "scope");
            eq(vault.votableOfAt(SCOPE, alice, at), expectedOf[alice].upperLookup(at), "alice");
            eq(vault.votableOfAt(SCOPE, address(this), at), expectedOf[address(this)].upperLookup(at), "other");
        }
    }

    function change(address who, uint256 kind, uint128 amount) private {
        (uint128 held, uint64 unlockAt,) = vault.stakeOf(SCOPE, who);
        if (kind == 3 && held > 0) {
            vm.prank(registry);
            vault.slash(ID, who, uint16(amount * 100), "r", "e", address(0));
        }
        vm.startPrank(who);
        if (unlockAt != 0 && kind == 1) vault.cancelUnstake(SCOPE);
        if (unlockAt == 0 && kind == 0) vault.stake(SCOPE, amount);
        if (unlockAt == 0 && kind == 2 && held > 0) vault.requestUnstake(SCOPE);
        if (unlockAt != 0 && kind == 2) {
            vm.warp(unlockAt);
            vault.unstake(SCOPE);
        }
        vm.stopPrank();
        expectedOf[who].push(uint48(block.number), vault.votableOf(SCOPE, who));
        expected.push(uint48(block.number), vault.votableOf(SCOPE, alice) + vault.votableOf(SCOPE, address(this)));
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

    function testFuzz_a_reported_slash_conserves(uint128 amount, uint16 bps) public {
        amount = uint128(bound(amount, 1, token.SUPPLY() / 2));
        bps = uint16(bound(bps, 0, 5_000));
        fund(alice, address(vault), amount);
        stake(amount);
        uint256 supply = token.totalSupply();
        vm.prank(registry);
        uint128 taken = vault.slash(ID, alice, bps, "r", "e", address(0xB0B));
        uint256 burned = supply - token.totalSupply();
        eq(token.balanceOf(address(0xB0B)) + burned, taken, "reporter and burned");
        vm.assertLe(token.balanceOf(address(0xB0B)) * 5, taken, "at most a fifth");
        eq(token.balanceOf(address(vault)), vault.totalStaked(), "custody");
    }

    function testFuzz_a_slash_takes_its_share_rounded_down_and_conserves(uint128 amount, uint16 bps) public {
        amount = uint128(bound(amount, 1, token.SUPPLY() / 2));
        bps = uint16(bound(bps, 0, 5_000));
        fund(alice, address(vault), amount);
        stake(amount);
        vm.prank(registry);
        uint128 taken = vault.slash(ID, alice, bps, "r", "e", address(0));
        eq(taken, (uint256(amount) * bps) / 10_000, "taken");
        eq(stakeOf(alice) + taken, amount, "conserved");
        eq(token.balanceOf(treasury), taken, "treasury");
        eq(token.balanceOf(address(vault)), vault.totalStaked(), "custody");
    }
}
