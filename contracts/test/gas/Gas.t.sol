// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {IAttributionLedger} from "../../src/interfaces/IAttributionLedger.sol";
import {IChannelEscrow} from "../../src/interfaces/IChannelEscrow.sol";
import {IDatanetRegistry} from "../../src/interfaces/IDatanetRegistry.sol";
import {IModelCurve} from "../../src/interfaces/IModelCurve.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {ISettlementHub} from "../../src/interfaces/ISettlementHub.sol";
import {ModelCurve} from "../../src/ModelCurve.sol";
import {Base, vm} from "../Base.sol";

/// @notice Gas of whole transactions, 21,000 and call data included, each within its budget: run with FOUNDRY_PROFILE=gas,
/// which writes gas.json.
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

    /// @param budget Where the call costs more, the test fails; also without isolation, where calls cost less.
    function measure(string memory name, uint256 budget) private {
        vm.assertLe(vm.snapshotGasLastCall("gas", name), budget, name);
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
        hub.submitBatch(node, claims, new bytes[](0), totals, root, "content", certificate(600));
    }

    function test_channels_and_batches() public {
        open(0);
        measure("channel, first deposit", 110_000);
        bytes32 channelId = escrow.getChannelId(config(0));
        vm.prank(vm.addr(PAYER_KEY));
        escrow.deposit(channelId, 1e18);
        measure("channel, deposit again", 55_000);
        for (uint256 i = 1; i < 100; i++) {
            open(i);
        }
        submit(1, 1e15, "one");
        submit(1, 2e15, "one again");
        measure("batch of 1 channel, again", 181_000);
        submit(100, 3e15, "hundred");
        submit(100, 4e15, "hundred again");
        measure("batch of 100 channels, again", 1_800_000);
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
            if (epoch == 1) measure("claim, first, 1,024 leaves", 95_000);
            else measure("claim, repeat, 1,024 leaves", 65_000);
        }
        checkOneMoreLevel(proof);
    }

    /// @param proof Of 1,024 leaves.
    function checkOneMoreLevel(bytes32[] memory proof) private {
        bytes32[] memory longer = new bytes32[](11);
        bytes32 root = distributor.leafOf(alice, 300);
        for (uint256 i = 0; i < 11; i++) {
            longer[i] = i < 10 ? proof[i] : keccak256("eleventh");
            root = Hashes.commutativeKeccak256(root, longer[i]);
        }
        vm.prank(address(ledger));
        distributor.activateRoot(3, root, 3_000);
        distributor.claim(alice, 300, longer);
        measure("claim, repeat, 2,048 leaves", 65_800);
    }

    function propose(uint64 epoch) private returns (IAttributionLedger.EpochHeader memory header) {
        bytes memory cert = certificate(2_464);
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
        measure("dispute, first, evidence of 32 B", 75_000);
        pass(1); // A burn in a later second than the last writes a checkpoint of the supply.
        vm.prank(arbiter);
        ledger.resolveDispute(1, true);
        measure("dispute, resolve", 114_000);
    }

    function test_epochs() public {
        for (uint64 epoch = 1; epoch <= 2; epoch++) {
            IAttributionLedger.EpochHeader memory header = propose(epoch);
            if (epoch == 1) measure("epoch, first", 210_000);
            else measure("epoch, again, certificate of 2,464 B", 150_000);
            pass(WINDOW);
            ledger.finalize(epoch, header);
            measure(epoch == 1 ? "finalize, first" : "finalize, again", 135_000);
            pass(10);
        }
    }

    function test_curves() public {
        vm.prank(address(proposals));
        ModelCurve curve =
            ModelCurve(factory.create("m", address(0x0E), IModelCurve.CurveParams(1e15, 1e12, 1e6, 100), "M", "M"));
        vm.prank(alice);
        token.approve(address(curve), type(uint256).max);
        vm.prank(alice);
        curve.buy(10 ether, 1 ether, alice, uint64(block.timestamp));
        measure("curve, buy first", 165_000);
        vm.prank(alice);
        curve.buy(10 ether, 1 ether, alice, uint64(block.timestamp));
        measure("curve, buy again", 72_000);
        vm.prank(alice);
        curve.sell(1 ether, 0, alice, uint64(block.timestamp));
        measure("curve, sell", 72_000);
    }

    function test_a_datanet() public {
        address validator = address(0xA11);
        IDatanetRegistry.DatanetParams memory terms = IDatanetRegistry.DatanetParams(1, 1, 5 days, 0, 5_000, 0, 0);
        datanets.createDatanet("meta", "uri", terms);
        measure("datanet, create first", 105_000);
        bytes32 scope = datanets.scopeOf(1);
        for (uint256 i = 0; i < 2; i++) {
            address staker = i == 0 ? alice : validator;
            fund(staker, address(vault), 1e21);
            vm.prank(staker);
            vault.stake(scope, 1e20);
            if (i == 0) measure("stake, first in a vault", 135_000);
            else measure("stake, by a second account", 110_000);
        }
        pass(1);
        bytes memory cert = certificate(600);
        for (uint256 i = 1; i <= 2; i++) {
            vm.prank(alice);
            datanets.submitContribution(1, bytes32(i), 10, "content", "license", cert);
        }
        measure("contribution, again, certificate of 600 B", 150_000);
        for (uint64 i = 1; i <= 2; i++) {
            vm.prank(validator);
            datanets.vote(i, false, 5_000);
            if (i == 1) measure("vote on a batch, first of a validator", 95_000);
            else measure("vote on a batch, again", 80_000);
        }
        for (uint64 i = 1; i <= 2; i++) {
            datanets.resolve(i);
            if (i == 1) measure("batch, resolve with slash, first", 156_000);
            else measure("batch, resolve with slash, again", 139_000);
            pass(1); // A slash in a later block than the last writes a checkpoint.
        }
    }

    function test_models() public {
        IModelRegistry.ModelParams memory params;
        params.artifactHash = "artifact";
        params.configHash = "config";
        params.trainingDataRoot = "data";
        params.tokenizerHash = "tokenizer";
        params.ownerBps = 10_000;
        params.pricePerCall = 1e15;
        params.uri = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
        models.registerModel("base", 0, params, new IModelRegistry.Parent[](0));
        measure("model, register a base", 125_000);
        IModelRegistry.Parent[] memory parents = new IModelRegistry.Parent[](1);
        parents[0] = IModelRegistry.Parent(modelId, 10_000);
        params.ownerBps = 5_000;
        models.registerModel("adapter", 2, params, parents);
        measure("model, register a LoRA", 115_000);
    }

    function test_tokens() public {
        vm.prank(alice);
        token.transfer(poster, 1e18);
        measure("token, transfer", 50_000);
        vm.prank(alice);
        token.delegate(alice);
        measure("token, delegate", 96_000);
    }

    function test_decisions() public {
        vm.prank(alice);
        token.delegate(alice);
        token.transfer(alice, token.SUPPLY() / 10);
        pass(1);
        (address[] memory targets, uint256[] memory values, bytes[] memory calls) =
            (new address[](1), new uint256[](1), new bytes[](1));
        targets[0] = address(datanets);
        calls[0] = abi.encodeCall(datanets.revokeUpgradeability, ());
        vm.prank(alice);
        uint256 id = governor.propose(targets, values, calls, "revoke");
        measure("decision, propose", 80_850);
        pass(governor.votingDelay() + 1);
        vm.prank(alice);
        governor.castVote(id, 1);
        measure("decision, vote", 129_150);
        pass(governor.votingPeriod() + 1);
        governor.queue(targets, values, calls, keccak256("revoke"));
        measure("decision, queue", 154_350);
        pass(TIMELOCK_DELAY);
        governor.execute(targets, values, calls, keccak256("revoke"));
        measure("decision, execute", 127_050);
    }

    function certificate(uint256 bytes_) private pure returns (bytes memory cert) {
        cert = new bytes(bytes_);
        for (uint256 i = 0; i < cert.length; i++) {
            cert[i] = bytes1(uint8(1 + (i % 255)));
        }
    }
}
