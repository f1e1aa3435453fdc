// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {IAttributionLedger} from "../../src/interfaces/IAttributionLedger.sol";
import {IChannelEscrow} from "../../src/interfaces/IChannelEscrow.sol";
import {IModelCurve} from "../../src/interfaces/IModelCurve.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {ISettlementHub} from "../../src/interfaces/ISettlementHub.sol";
import {ModelCurve} from "../../src/ModelCurve.sol";
import {Base, vm} from "../Base.sol";

/// @notice Gas of whole transactions, 21,000 and call data included: run with FOUNDRY_PROFILE=gas, which writes gas.json.
/// Channels as stock x402 clients open them: the payer's key is the authoriser, no salt. Conditions: solc 0.8.37, 1,000 optimizer runs, Prague; nobody involved delegates votes; allowances are unlimited.
contract GasTest is Base {
    uint256 private constant PAYER_KEY = 0xBEEF;
    address private node = address(0x0DE);
    address private alice = address(0xA11CE);
    bytes32 private modelId;

    function setUp() public override {
        super.setUp();
        IModelRegistry.ModelParams memory params;
        params.ownerBps = 10_000;
        modelId = models.registerModel("m", 0, params, new IModelRegistry.Parent[](0));
        vm.prank(node);
        models.registerServingNode(node, 0, "http://node");
        token.approve(address(distributor), type(uint256).max);
        distributor.fund(1e24);
        token.transfer(alice, 1e24);
        token.transfer(poster, 1e24);
        vm.prank(poster);
        token.approve(address(ledger), type(uint256).max);
    }

    function config(uint256 i) private view returns (IChannelEscrow.ChannelConfig memory) {
        address payer = vm.addr(PAYER_KEY + i);
        return IChannelEscrow.ChannelConfig(payer, payer, address(hub), node, address(token), 1 hours, 0);
    }

    function open(uint256 i) private {
        address payer = vm.addr(PAYER_KEY + i);
        token.transfer(payer, 1e20);
        vm.prank(payer);
        token.approve(address(escrow), type(uint256).max);
        vm.prank(payer);
        escrow.openChannel(config(i), 1e19);
    }

    function submit(uint256 count, uint128 total, bytes32 root) private {
        IChannelEscrow.CompactClaim[] memory claims = new IChannelEscrow.CompactClaim[](count);
        for (uint256 i = 0; i < count; i++) {
            claims[i] = compactClaim(PAYER_KEY + i, config(i), total, total);
        }
        ISettlementHub.ModelTotal[] memory totals = new ISettlementHub.ModelTotal[](1);
        uint128 amount = 0;
        for (uint256 i = 0; i < count; i++) {
            (, uint128 before) = escrow.channels(escrow.getChannelId(config(i)));
            amount += total - before;
        }
        totals[0] = ISettlementHub.ModelTotal(modelId, amount, uint32(count));
        vm.prank(node);
        hub.submitBatch(node, claims, new bytes[](0), totals, root, "content", new bytes(600));
    }

    function test_channels_and_batches() public {
        open(0);
        vm.snapshotGasLastCall("gas", "channel, first deposit");
        bytes32 channelId = escrow.getChannelId(config(0));
        vm.prank(vm.addr(PAYER_KEY));
        escrow.deposit(channelId, 1e18);
        vm.snapshotGasLastCall("gas", "channel, deposit again");
        for (uint256 i = 1; i < 100; i++) {
            open(i);
        }
        submit(1, 1e15, "one");
        submit(1, 2e15, "one again");
        vm.snapshotGasLastCall("gas", "batch of 1 channel, again");
        submit(100, 3e15, "hundred");
        submit(100, 4e15, "hundred again");
        vm.snapshotGasLastCall("gas", "batch of 100 channels, again");
    }

    function test_claims_of_a_tree_of_1024_leaves() public {
        bytes32[] memory proof = new bytes32[](10);
        for (uint128 epoch = 1; epoch <= 2; epoch++) {
            bytes32 root = distributor.leafOf(alice, 100 * epoch);
            for (uint256 i = 0; i < 10; i++) {
                proof[i] = keccak256(abi.encode(epoch, i));
                root = Hashes.commutativeKeccak256(root, proof[i]);
            }
            vm.prank(address(ledger));
            distributor.activateRoot(uint64(epoch), root, 1_000 * epoch);
            distributor.claim(alice, 100 * epoch, proof);
            vm.snapshotGasLastCall("gas", epoch == 1 ? "claim, first, 1,024 leaves" : "claim, repeat, 1,024 leaves");
        }
    }

    function propose(uint64 epoch) private returns (IAttributionLedger.EpochHeader memory header) {
        bytes memory cert = new bytes(2_464);
        for (uint256 i = 0; i < cert.length; i++) {
            cert[i] = bytes1(uint8(1 + (i % 255)));
        }
        header = IAttributionLedger.EpochHeader({
            rewardRoot: keccak256("reward"),
            attributionRoot: keccak256("attribution"),
            receiptsAccumulator: keccak256("accumulator"),
            rootTotal: 1e20,
            fromBlock: ledger.settledToBlock(),
            toBlock: uint64(block.number) - 1,
            methodHash: keccak256("method"),
            contentHash: keccak256("content"),
            daRef: keccak256(cert)
        });
        vm.prank(poster);
        ledger.propose(epoch, header, cert);
    }

    function test_disputes() public {
        propose(1);
        vm.prank(alice);
        token.approve(address(ledger), type(uint256).max);
        vm.prank(alice);
        ledger.dispute(1, 1, new bytes(32));
        vm.snapshotGasLastCall("gas", "dispute, first, evidence of 32 B");
        vm.prank(arbiter);
        ledger.resolveDispute(1, true);
        vm.snapshotGasLastCall("gas", "dispute, resolve");
    }

    function test_epochs() public {
        for (uint64 epoch = 1; epoch <= 2; epoch++) {
            IAttributionLedger.EpochHeader memory header = propose(epoch);
            vm.snapshotGasLastCall("gas", epoch == 1 ? "epoch, first" : "epoch, again, certificate of 2,464 B");
            pass(WINDOW);
            ledger.finalize(epoch, header);
            vm.snapshotGasLastCall("gas", epoch == 1 ? "finalize, first" : "finalize, again");
            pass(10);
        }
    }

    function test_curves() public {
        vm.prank(address(proposals));
        ModelCurve curve =
            ModelCurve(factory.create("m", address(0x0E), IModelCurve.CurveParams(1e15, 1e12, 1e6, 100), "M", "M"));
        vm.prank(alice);
        token.approve(address(curve), type(uint256).max);
        for (uint256 i = 0; i < 2; i++) {
            vm.prank(alice);
            curve.buy(10 ether, 1 ether, alice, uint64(block.timestamp));
        }
        vm.snapshotGasLastCall("gas", "curve, buy again");
        vm.prank(alice);
        curve.sell(1 ether, 0, alice, uint64(block.timestamp));
        vm.snapshotGasLastCall("gas", "curve, sell");
    }
}
