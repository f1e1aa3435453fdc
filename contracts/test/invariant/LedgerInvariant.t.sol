// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {IAttributionLedger} from "../../src/interfaces/IAttributionLedger.sol";
import {vm} from "../Base.sol";
import {Actions} from "./Actions.sol";

/// @notice Epochs proposed, disputed, ruled on and finalised while accounts claim, with a poster that may lie.
contract LedgerInvariantTest is Actions {
    /// Leaves of the final root and of the open proposal, and their claimed sums.
    uint128[ACTORS] private finalAmounts;
    uint128[ACTORS] private openAmounts;
    uint128[ACTORS] private claimedBefore;
    uint128 private rootTotalBefore;
    uint128 private openTotal;
    uint256 private paidOut;
    uint256 private arbitrationEnd;
    uint256 private bondsIn;
    uint256 private bondsOut;
    uint256 private burned;
    bool private isDisputed;
    IAttributionLedger.EpochHeader private openHeader;

    function actions() internal pure override returns (bytes4[] memory selectors) {
        selectors = new bytes4[](13);
        selectors[0] = this.fundPool.selector;
        selectors[1] = this.propose.selector;
        selectors[2] = this.dispute.selector;
        selectors[3] = this.resolve.selector;
        selectors[4] = this.rejectUnresolved.selector;
        selectors[5] = this.finalize.selector;
        selectors[6] = this.claim.selector;
        selectors[7] = this.claimEarly.selector;
        selectors[8] = this.withdrawBond.selector;
        selectors[9] = this.wait_.selector;
        selectors[10] = this.driveToTheEnd.selector;
        selectors[11] = this.proveAboveTotal.selector;
        selectors[12] = this.withdrawEpoch.selector;
    }

    function fundPool(uint128 amount) external {
        amount = uint128(bound(amount, 1, 1e24));
        token.approve(address(distributor), amount);
        distributor.fund(amount);
    }

    /// Leaves within the funds; with `lie`, a total below their sum.
    function propose(uint128[ACTORS] calldata raises, uint128 lie) external {
        if (isOpen()) return;
        uint128 sum;
        for (uint256 i = 0; i < ACTORS; i++) {
            sum += finalAmounts[i];
        }
        uint128 funded = distributor.totalFunded();
        uint128 spare = funded > sum ? (funded - sum) / uint128(ACTORS) : 0;
        for (uint256 i = 0; i < ACTORS; i++) {
            uint128 raise_ = uint128(bound(raises[i], 0, spare));
            openAmounts[i] = finalAmounts[i] + raise_;
            sum += raise_;
        }
        uint128 previous = distributor.rootTotal();
        openTotal = lie % 4 == 0 && sum > previous ? sum - uint128(bound(lie, 0, sum - previous)) : sum;
        fund(poster, address(ledger), BOND);
        IAttributionLedger.EpochHeader memory header = IAttributionLedger.EpochHeader({
            rewardRoot: rootOf(openAmounts),
            attributionRoot: "attribution",
            receiptsAccumulator: 0,
            rootTotal: openTotal,
            fromBlock: ledger.settledToBlock(),
            toBlock: uint64(block.number) - 1,
            methodHash: 0,
            contentHash: 0,
            daRef: keccak256("")
        });
        if (header.toBlock <= header.fromBlock) return;
        uint64 epoch = next();
        uint128 credit = ledger.bondCredit(poster);
        openHeader = header;
        vm.prank(poster);
        ledger.propose(epoch, header, "");
        bondsIn += BOND;
        if (credit >= BOND) bondsOut += BOND; // Paid out by paying in.
    }

    function dispute(uint256 who) external {
        (uint8 status, uint64 deadline,) = ledger.statusOf(next());
        fund(actor(who), address(ledger), BOND);
        uint128 credit = ledger.bondCredit(actor(who));
        bytes memory call_ = abi.encodeCall(ledger.dispute, (next(), 1, ""));
        bool isDone = attempt(actor(who), address(ledger), call_);
        vm.assertTrue(isDone == (status == 1 && block.timestamp < deadline), "within the window");
        if (!isDone) return;
        bondsIn += BOND;
        if (credit >= BOND) bondsOut += BOND;
        arbitrationEnd = block.timestamp + ARBITRATION;
        isDisputed = true;
    }

    function resolve(bool upheld) external {
        (uint8 status,,) = ledger.statusOf(next());
        bytes memory call_ = abi.encodeCall(ledger.resolveDispute, (next(), upheld));
        bool isDone = attempt(arbiter, address(ledger), call_);
        vm.assertTrue(isDone == (status == 2 && block.timestamp < arbitrationEnd), "before the timeout");
        if (!isDone) return;
        burned += BOND - BOND / 2;
        isDisputed = false;
    }

    function rejectUnresolved() external {
        (uint8 status,,) = ledger.statusOf(next());
        bytes memory call_ = abi.encodeCall(ledger.rejectUnresolved, (next()));
        bool isDone = attempt(actor(0), address(ledger), call_);
        vm.assertTrue(isDone == (status == 2 && block.timestamp >= arbitrationEnd), "after the timeout");
        if (!isDone) return;
        burned += BOND - BOND / 2;
        isDisputed = false;
    }

    /// A leaf above the total of its root is proven by anyone, without the arbiter.
    function proveAboveTotal(uint256 who) external {
        uint256 i = who % ACTORS;
        (uint8 status, uint64 deadline,) = ledger.statusOf(next());
        IAttributionLedger.Leaf memory leaf =
            IAttributionLedger.Leaf(actor(i), openAmounts[i], proofOf(openAmounts, i));
        bytes memory call_ = abi.encodeCall(ledger.proveLeafAboveTotal, (next(), openHeader, leaf));
        bool isDone = attempt(actor(0), address(ledger), call_);
        bool isInTime = status == 2 || (status == 1 && block.timestamp < deadline);
        vm.assertTrue(isDone == (isInTime && openAmounts[i] > openTotal), "proven");
        if (!isDone) return;
        burned += BOND - BOND / 2;
        isDisputed = false;
    }

    function withdrawEpoch() external {
        (uint8 status,,) = ledger.statusOf(next());
        bool isDone = attempt(poster, address(ledger), abi.encodeCall(ledger.withdrawEpoch, (next())));
        vm.assertTrue(isDone == (status == 1), "while undisputed");
    }

    /// Invariant 17: nothing is final before its window ended, and nothing disputed without the arbiter.
    function finalize() public {
        (uint8 status, uint64 deadline,) = ledger.statusOf(next());
        bytes memory call_ = abi.encodeCall(ledger.finalize, (next(), openHeader));
        bool isDone = attempt(actor(0), address(ledger), call_);
        vm.assertTrue(isDone == (status == 1 && block.timestamp >= deadline), "after the window");
        if (!isDone) return;
        vm.assertTrue(!isDisputed, "ruled");
        finalAmounts = openAmounts;
    }

    /// Pays exactly while the leaf is final, unpaid and within the root's total.
    function claim(uint256 who) external {
        uint256 i = who % ACTORS;
        uint128 already = distributor.claimed(actor(i));
        uint128 due = finalAmounts[i] > already ? finalAmounts[i] - already : 0;
        bytes memory call_ = abi.encodeCall(distributor.claim, (actor(i), finalAmounts[i], proofOf(finalAmounts, i)));
        bool isDone = attempt(actor(0), address(distributor), call_);
        bool isDue = due > 0 && distributor.rootTotal() >= distributor.totalClaimed() + (isDone ? 0 : due);
        vm.assertTrue(isDone == isDue, "claims what is due");
        if (isDone) paidOut += due;
    }

    /// Invariant 4: a leaf of an epoch that is not final is worth nothing.
    function claimEarly(uint256 who) external {
        uint256 i = who % ACTORS;
        if (!isOpen() || rootOf(openAmounts) == rootOf(finalAmounts)) return;
        bytes memory call_ = abi.encodeCall(distributor.claim, (actor(i), openAmounts[i], proofOf(openAmounts, i)));
        vm.assertTrue(!attempt(actor(i), address(distributor), call_), "not final");
    }

    function withdrawBond(uint256 who) external {
        address owner = who % 2 == 0 ? poster : actor(who);
        uint128 credit = ledger.bondCredit(owner);
        bool isDone = attempt(owner, address(ledger), abi.encodeCall(ledger.withdrawBond, ()));
        vm.assertTrue(isDone == (credit > 0), "withdraws its credit");
        if (isDone) bondsOut += credit;
    }

    /// Liveness: whatever its state, waiting brings an open epoch to an end.
    function driveToTheEnd() external {
        if (!isOpen()) return;
        uint64 epoch = next();
        pass(WINDOW + ARBITRATION);
        (uint8 status,,) = ledger.statusOf(epoch);
        if (status == 1) finalize();
        else this.rejectUnresolved();
        (status,,) = ledger.statusOf(epoch);
        vm.assertTrue(status == 3 || status == 4, "terminal");
    }

    function invariant_claims_within_the_root_within_the_funds() public view {
        vm.assertLe(distributor.totalClaimed(), distributor.rootTotal(), "claimed");
        vm.assertLe(distributor.rootTotal(), distributor.totalFunded(), "root");
    }

    function invariant_the_distributor_holds_what_was_not_claimed() public view {
        uint256 rest = distributor.totalFunded() - distributor.totalClaimed();
        eq(token.balanceOf(address(distributor)), rest, "balance");
        uint256 claimed;
        for (uint256 i = 0; i < ACTORS; i++) {
            claimed += distributor.claimed(actor(i));
        }
        eq(claimed, distributor.totalClaimed(), "by account");
        eq(paidOut, distributor.totalClaimed(), "paid out");
    }

    function invariant_claims_and_root_totals_never_fall() public {
        vm.assertLe(rootTotalBefore, distributor.rootTotal(), "root total");
        rootTotalBefore = distributor.rootTotal();
        for (uint256 i = 0; i < ACTORS; i++) {
            vm.assertLe(claimedBefore[i], distributor.claimed(actor(i)), "claimed");
            claimedBefore[i] = distributor.claimed(actor(i));
        }
    }

    function invariant_bonds_in_are_held_withdrawn_or_burned() public view {
        uint256 held = token.balanceOf(address(ledger));
        eq(bondsIn, held + bondsOut + burned, "bonds");
        eq(token.totalSupply() + burned, token.SUPPLY(), "supply");
        uint256 credits = ledger.bondCredit(poster);
        for (uint256 i = 0; i < ACTORS; i++) {
            credits += ledger.bondCredit(actor(i));
        }
        (uint8 status,,) = ledger.statusOf(next());
        uint256 open = status == 1 ? BOND : status == 2 ? 2 * BOND : 0;
        eq(held, credits + open, "credits and open bonds");
    }

    function next() private view returns (uint64) {
        return ledger.epochCount() + 1;
    }

    function isOpen() private view returns (bool) {
        (uint8 status,,) = ledger.statusOf(next());
        return status == 1 || status == 2;
    }

    function leafOf(uint128[ACTORS] memory amounts, uint256 i) private view returns (bytes32) {
        return distributor.leafOf(actor(i), amounts[i]);
    }

    /// root = ((0, 1), 2)
    function rootOf(uint128[ACTORS] memory amounts) private view returns (bytes32) {
        bytes32 pair = Hashes.commutativeKeccak256(leafOf(amounts, 0), leafOf(amounts, 1));
        return Hashes.commutativeKeccak256(pair, leafOf(amounts, 2));
    }

    function proofOf(uint128[ACTORS] memory amounts, uint256 i) private view returns (bytes32[] memory proof) {
        if (i == 2) {
            proof = new bytes32[](1);
            proof[0] = Hashes.commutativeKeccak256(leafOf(amounts, 0), leafOf(amounts, 1));
            return proof;
        }
        proof = new bytes32[](2);
        proof[0] = leafOf(amounts, 1 - i);
        proof[1] = leafOf(amounts, 2);
    }
}
