// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ChannelEscrow} from "../../src/ChannelEscrow.sol";
import {IChannelEscrow} from "../../src/interfaces/IChannelEscrow.sol";
import {IRewardDistributor} from "../../src/interfaces/IRewardDistributor.sol";
import {ISettlementHub} from "../../src/interfaces/ISettlementHub.sol";
import {RewardDistributor} from "../../src/RewardDistributor.sol";
import {SettlementHub} from "../../src/SettlementHub.sol";
import {Base, vm} from "../Base.sol";

/// @notice Solidity against `vectors/leaf.json`, which JavaScript libraries wrote and TypeScript reads too.
contract VectorsTest is Base {
    string private json;

    function setUp() public override {
        super.setUp();
        json = vm.readFile(vm.envOr("LEAF_VECTORS", string("vectors/leaf.json")));
        vm.chainId(vm.parseJsonUint(json, ".chainId"));
    }

    /// Code moved to the vectors' address: leaves and digests bind the address they are computed at.
    function placeAt(string memory key, address deployed) private returns (address target) {
        target = vm.parseJsonAddress(json, key);
        vm.etch(target, deployed.code);
    }

    function test_reward_leaves_roots_and_proofs_are_those_of_the_vectors() public {
        RewardDistributor distributor_ = RewardDistributor(placeAt(".distributor", address(distributor)));
        uint256 count;
        for (; vm.keyExistsJson(json, item("rewardTrees", count, "")); count++) {
            string memory tree = item("rewardTrees", count, "");
            bytes32 root = vm.parseJsonBytes32(json, string.concat(tree, ".root"));
            address[] memory accounts = vm.parseJsonAddressArray(json, string.concat(tree, ".accounts"));
            uint256[] memory cumulatives = vm.parseJsonUintArray(json, string.concat(tree, ".cumulatives"));
            bytes32[] memory leaves = vm.parseJsonBytes32Array(json, string.concat(tree, ".leaves"));
            for (uint256 i = 0; i < accounts.length; i++) {
                bytes32 leaf = distributor_.leafOf(accounts[i], uint128(cumulatives[i]));
                eq(leaf, leaves[i], "leaf");
                string memory key = string.concat(tree, ".proofs[", vm.toString(i), "]");
                bytes32[] memory proof = vm.parseJsonBytes32Array(json, key);
                vm.assertTrue(MerkleProof.verify(proof, root, leaf), "proof");
            }
        }
        eq(count, 6, "trees");
    }

    function test_a_claim_passes_with_a_proof_of_the_vectors() public {
        string memory tree = item("rewardTrees", 5, "");
        address[] memory accounts = vm.parseJsonAddressArray(json, string.concat(tree, ".accounts"));
        uint256[] memory cumulatives = vm.parseJsonUintArray(json, string.concat(tree, ".cumulatives"));
        bytes32[] memory proof = vm.parseJsonBytes32Array(json, string.concat(tree, ".proofs[7]"));
        RewardDistributor distributor_ = RewardDistributor(placeAt(".distributor", address(distributor)));
        uint128 amount = uint128(cumulatives[7]);
        vm.assertTrue(amount > 0 && amount <= token.balanceOf(address(this)), "a payable amount");
        token.approve(address(distributor_), amount);
        distributor_.fund(amount);
        bytes32 root = vm.parseJsonBytes32(json, string.concat(tree, ".root"));
        vm.prank(address(ledger));
        distributor_.activateRoot(1, root, amount);
        proof[0] ^= bytes32(uint256(1));
        refuse(abi.encodeWithSelector(IRewardDistributor.InvalidProof.selector, accounts[7], amount));
        distributor_.claim(accounts[7], amount, proof);
        proof[0] ^= bytes32(uint256(1));
        distributor_.claim(accounts[7], amount, proof);
        eq(token.balanceOf(accounts[7]), amount, "paid");
    }

    function test_receipt_digests_are_those_of_the_vectors() public {
        SettlementHub hub_ = SettlementHub(placeAt(".hub", address(hub)));
        uint256 count;
        for (; vm.keyExistsJson(json, item("receipts", count, "")); count++) {
            bytes32 digest = hub_.receiptDigest(receiptAt(count));
            eq(digest, vm.parseJsonBytes32(json, item("receipts", count, ".digest")), "digest");
            eq(keccak256(abi.encode(digest)), vm.parseJsonBytes32(json, item("receipts", count, ".leaf")), "leaf");
        }
        eq(count, 5, "receipts");
    }

    function test_voucher_digests_are_those_of_the_vectors() public {
        ChannelEscrow escrow_ = ChannelEscrow(placeAt(".escrow", address(escrow)));
        for (uint256 i = 0; i < 3; i++) {
            bytes32 channelId = vm.parseJsonBytes32(json, item("vouchers", i, ".channelId"));
            uint256 max = vm.parseJsonUint(json, item("vouchers", i, ".maxClaimableAmount"));
            bytes32 digest = escrow_.getVoucherDigest(channelId, uint128(max));
            eq(digest, vm.parseJsonBytes32(json, item("vouchers", i, ".digest")), "digest");
        }
        for (uint256 i = 0; i < 3; i++) {
            bytes32 channelId = escrow_.getChannelId(configAt(i));
            eq(channelId, vm.parseJsonBytes32(json, item("channels", i, ".channelId")), "channel");
        }
    }

    function configAt(uint256 i) private view returns (IChannelEscrow.ChannelConfig memory config) {
        config.payer = vm.parseJsonAddress(json, item("channels", i, ".payer"));
        config.payerAuthorizer = vm.parseJsonAddress(json, item("channels", i, ".payerAuthorizer"));
        config.receiver = vm.parseJsonAddress(json, item("channels", i, ".receiver"));
        config.receiverAuthorizer = vm.parseJsonAddress(json, item("channels", i, ".receiverAuthorizer"));
        config.token = vm.parseJsonAddress(json, item("channels", i, ".token"));
        config.withdrawDelay = uint40(vm.parseJsonUint(json, item("channels", i, ".withdrawDelay")));
        config.salt = vm.parseJsonBytes32(json, item("channels", i, ".salt"));
    }

    function receiptAt(uint256 i) private view returns (ISettlementHub.InferenceReceipt memory receipt) {
        receipt.requestId = vm.parseJsonBytes32(json, item("receipts", i, ".requestId"));
        receipt.payer = vm.parseJsonAddress(json, item("receipts", i, ".payer"));
        receipt.node = vm.parseJsonAddress(json, item("receipts", i, ".node"));
        receipt.modelId = vm.parseJsonBytes32(json, item("receipts", i, ".modelId"));
        receipt.adapterSet = vm.parseJsonBytes32(json, item("receipts", i, ".adapterSet"));
        receipt.inputCommit = vm.parseJsonBytes32(json, item("receipts", i, ".inputCommit"));
        receipt.outputCommit = vm.parseJsonBytes32(json, item("receipts", i, ".outputCommit"));
        receipt.retrievalCommit = vm.parseJsonBytes32(json, item("receipts", i, ".retrievalCommit"));
        receipt.paramsHash = vm.parseJsonBytes32(json, item("receipts", i, ".paramsHash"));
        receipt.profileHash = vm.parseJsonBytes32(json, item("receipts", i, ".profileHash"));
        receipt.provenanceMode = uint8(vm.parseJsonUint(json, item("receipts", i, ".provenanceMode")));
        receipt.promptTokens = uint32(vm.parseJsonUint(json, item("receipts", i, ".promptTokens")));
        receipt.completionTokens = uint32(vm.parseJsonUint(json, item("receipts", i, ".completionTokens")));
        receipt.fee = uint128(vm.parseJsonUint(json, item("receipts", i, ".fee")));
        receipt.channelId = vm.parseJsonBytes32(json, item("receipts", i, ".channelId"));
        receipt.cumulativeCharged = uint128(vm.parseJsonUint(json, item("receipts", i, ".cumulativeCharged")));
        receipt.servedAt = uint64(vm.parseJsonUint(json, item("receipts", i, ".servedAt")));
    }

    function item(string memory list, uint256 i, string memory field) private pure returns (string memory) {
        return string.concat(".", list, "[", vm.toString(i), "]", field);
    }
}
