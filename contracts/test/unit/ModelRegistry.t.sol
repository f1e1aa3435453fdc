// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IDatanetRegistry} from "../../src/interfaces/IDatanetRegistry.sol";
import {IModelRegistry} from "../../src/interfaces/IModelRegistry.sol";
import {Base, vm} from "../Base.sol";

contract ModelRegistryTest is Base {
    function params(uint16 ownerBps) private pure returns (IModelRegistry.ModelParams memory) {
        return IModelRegistry.ModelParams({
            artifactHash: "artifact",
            configHash: "config",
            trainingDataRoot: 0,
            tokenizerHash: "tokenizer",
            ownerBps: ownerBps,
            provenanceMode: 0,
            pricePerCall: 5,
            uri: "uri"
        });
    }

    function noParents() private pure returns (IModelRegistry.Parent[] memory) {
        return new IModelRegistry.Parent[](0);
    }

    function oneParent(bytes32 modelId) private pure returns (IModelRegistry.Parent[] memory parents) {
        parents = new IModelRegistry.Parent[](1);
        parents[0] = IModelRegistry.Parent(modelId, 10_000);
    }

    function twoParents(bytes32 a, uint16 aBps, bytes32 b, uint16 bBps)
        private
        pure
        returns (IModelRegistry.Parent[] memory parents)
    {
        parents = new IModelRegistry.Parent[](2);
        parents[0] = IModelRegistry.Parent(a, aBps);
        parents[1] = IModelRegistry.Parent(b, bBps);
    }

    function register(string memory name) private returns (bytes32) {
        return models.registerModel(name, 0, params(10_000), noParents());
    }

    function test_registers_a_base_model_under_its_hash() public {
        bytes32 expectedId = keccak256(abi.encode(address(this), bytes32("artifact"), "base"));
        vm.expectEmit();
        emit IModelRegistry.ModelRegistered(expectedId, address(this), 0, params(10_000));
        eq(register("base"), expectedId, "id");
        eq(models.ownerOf(expectedId), address(this), "owner");
        eq(models.priceOf(expectedId), 5, "price");
        eq(models.depthOf(expectedId), 0, "depth");
    }

    function test_refuses_the_same_model_twice() public {
        bytes32 modelId = register("base");
        refuse(abi.encodeWithSelector(IModelRegistry.ModelExists.selector, modelId));
        register("base");
    }

    function test_a_child_lies_one_below_its_deepest_parent() public {
        bytes32 base = register("base");
        bytes32 tuned = models.registerModel("tuned", 1, params(6_000), oneParent(base));
        bytes32 merged = keccak256(abi.encode(address(this), bytes32("artifact"), "merged"));
        vm.expectEmit();
        emit IModelRegistry.LineageEdge(merged, base, 4_000, 2);
        vm.expectEmit();
        emit IModelRegistry.LineageEdge(merged, tuned, 6_000, 2);
        models.registerModel("merged", 4, params(0), twoParents(base, 4_000, tuned, 6_000));
        eq(models.depthOf(tuned), 1, "tuned");
        eq(models.depthOf(merged), 2, "merged");
    }

    function test_refuses_parents_that_do_not_exist_repeat_or_weigh_wrong() public {
        bytes32 base = register("base");
        bytes32 other = register("other");
        refuse(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, bytes32("nobody")));
        models.registerModel("x", 1, params(0), oneParent("nobody"));
        refuse(abi.encodeWithSelector(IModelRegistry.DuplicateParent.selector, base));
        models.registerModel("x", 4, params(0), twoParents(base, 5_000, base, 5_000));
        refuse(abi.encodeWithSelector(IModelRegistry.WeightsMustSumTo10000.selector, 9_999));
        models.registerModel("x", 4, params(0), twoParents(base, 5_000, other, 4_999));
        refuse(abi.encodeWithSelector(IModelRegistry.InvalidBps.selector, 0));
        models.registerModel("x", 4, params(0), twoParents(base, 10_000, other, 0));
    }

    function test_refuses_unknown_kinds_modes_and_shares() public {
        refuse(abi.encodeWithSelector(IModelRegistry.UnknownKind.selector, 5));
        models.registerModel("x", 5, params(10_000), noParents());
        IModelRegistry.ModelParams memory sealedPlus = params(10_000);
        sealedPlus.provenanceMode = 2;
        refuse(abi.encodeWithSelector(IModelRegistry.UnknownProvenanceMode.selector, 2));
        models.registerModel("x", 0, sealedPlus, noParents());
        refuse(abi.encodeWithSelector(IModelRegistry.InvalidBps.selector, 9_999));
        models.registerModel("x", 0, params(9_999), noParents());
        refuse(abi.encodeWithSelector(IModelRegistry.InvalidBps.selector, 10_001));
        models.registerModel("x", 0, params(10_001), noParents());
    }

    function test_refuses_too_many_parents_and_any_for_a_base_model() public {
        bytes32 base = register("base");
        refuse(abi.encodeWithSelector(IModelRegistry.TooManyParents.selector, 1, 0));
        models.registerModel("x", 0, params(0), oneParent(base));
        refuse(abi.encodeWithSelector(IModelRegistry.TooManyParents.selector, 5, 4));
        models.registerModel("x", 4, params(0), new IModelRegistry.Parent[](5));
    }

    function test_each_kind_has_its_number_of_parents() public {
        bytes32 base = register("base");
        bytes32 other = register("other");
        for (uint8 kind = 1; kind <= 3; kind++) {
            refuse(abi.encodeWithSelector(IModelRegistry.TooFewParents.selector, 0, 1));
            models.registerModel("x", kind, params(10_000), noParents());
        }
        refuse(abi.encodeWithSelector(IModelRegistry.TooFewParents.selector, 1, 2));
        models.registerModel("x", 4, params(0), oneParent(base));
        for (uint8 kind = 2; kind <= 3; kind++) {
            refuse(abi.encodeWithSelector(IModelRegistry.TooManyParents.selector, 2, 1));
            models.registerModel("x", kind, params(0), twoParents(base, 5_000, other, 5_000));
            models.registerModel(vm.toString(kind), kind, params(0), oneParent(base));
        }
    }

    function test_the_owner_publishes_versions_and_retires_a_model() public {
        bytes32 modelId = register("base");
        eq(models.versionOf(modelId), 1, "registered");
        vm.expectEmit();
        emit IModelRegistry.ModelVersionPublished(modelId, 2, "artifact 2", "eval", "uri 2");
        eq(models.publishVersion(modelId, "artifact 2", "eval", "uri 2"), 2, "version");
        vm.expectEmit();
        emit IModelRegistry.ModelStatusChanged(modelId, 0, 1);
        models.setStatus(modelId, 1);
        eq(models.statusOf(modelId), 1, "retired");
        refuse(abi.encodeWithSelector(IModelRegistry.ModelRetired.selector, modelId));
        models.registerModel("child", 2, params(0), oneParent(modelId));
        refuse(abi.encodeWithSelector(IModelRegistry.UnknownStatus.selector, 2));
        models.setStatus(modelId, 2);
        bytes memory notOwner = abi.encodeWithSelector(IModelRegistry.NotModelOwner.selector, poster);
        vm.startPrank(poster);
        refuse(notOwner);
        models.publishVersion(modelId, "", "", "");
        refuse(notOwner);
        models.setStatus(modelId, 0);
        vm.stopPrank();
    }

    function test_refuses_a_lineage_deeper_than_sixteen() public {
        bytes32 modelId = register("0");
        for (uint256 depth = 1; depth <= 16; depth++) {
            modelId = models.registerModel(vm.toString(depth), 1, params(0), oneParent(modelId));
        }
        eq(models.depthOf(modelId), 16, "deepest");
        refuse(abi.encodeWithSelector(IModelRegistry.LineageTooDeep.selector, 17, 16));
        models.registerModel("17", 1, params(0), oneParent(modelId));
    }

    function test_only_the_owner_declares_the_datanets_of_a_model() public {
        bytes32 modelId = register("base");
        IDatanetRegistry.DatanetParams memory terms = IDatanetRegistry.DatanetParams(0, 1, 1 days, 0, 0, 0, 0);
        for (uint256 i = 0; i < 3; i++) {
            datanets.createDatanet("meta", "uri", terms);
        }
        vm.expectEmit();
        emit IModelRegistry.DatanetUsed(modelId, 3, 0, 0);
        models.useDatanet(modelId, 3, 0, 0);
        vm.expectEmit();
        emit IModelRegistry.DatanetUsed(modelId, 3, "snapshot", "manifest");
        models.useDatanet(modelId, 3, "snapshot", "manifest");
        refuse(abi.encodeWithSelector(IModelRegistry.IncompleteManifest.selector, bytes32("snapshot"), bytes32(0)));
        models.useDatanet(modelId, 3, "snapshot", 0);
        refuse(abi.encodeWithSelector(IModelRegistry.IncompleteManifest.selector, bytes32(0), bytes32("manifest")));
        models.useDatanet(modelId, 3, 0, "manifest");
        refuse(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, bytes32("nobody")));
        models.useDatanet("nobody", 3, 0, 0);
        refuse(abi.encodeWithSelector(IModelRegistry.UnknownDatanet.selector, 4));
        models.useDatanet(modelId, 4, 0, 0);
        refuse(abi.encodeWithSelector(IModelRegistry.UnknownDatanet.selector, 0));
        models.useDatanet(modelId, 0, 0, 0);
        refuse(abi.encodeWithSelector(IModelRegistry.NotModelOwner.selector, poster));
        vm.prank(poster);
        models.useDatanet(modelId, 3, 0, 0);
    }

    function test_only_the_owner_publishes_the_manifest_of_a_model() public {
        bytes32 modelId = register("base");
        bytes memory certificate = "certificate";
        vm.expectEmit();
        emit IModelRegistry.TrainingManifestPublished(modelId, "manifest", keccak256(certificate), certificate);
        models.publishManifest(modelId, "manifest", certificate);
        models.publishManifest(modelId, "manifest", new bytes(16_384));
        refuse(abi.encodeWithSelector(IModelRegistry.DaCommitmentTooLarge.selector, 16_385, 16_384));
        models.publishManifest(modelId, "manifest", new bytes(16_385));
        refuse(abi.encodeWithSelector(IModelRegistry.UnknownModel.selector, bytes32("nobody")));
        models.publishManifest("nobody", "manifest", certificate);
        refuse(abi.encodeWithSelector(IModelRegistry.NotModelOwner.selector, poster));
        vm.prank(poster);
        models.publishManifest(modelId, "manifest", certificate);
    }

    function test_a_node_registers_itself_once() public {
        vm.expectEmit();
        emit IModelRegistry.ServingNodeRegistered(address(this), poster, "hash", "http://node");
        models.registerServingNode(poster, "hash", "http://node");
        vm.assertTrue(models.isNode(address(this)) && !models.isNode(poster), "the caller is the node");
        refuse(abi.encodeWithSelector(IModelRegistry.NodeExists.selector, address(this)));
        models.registerServingNode(poster, "hash", "http://node");
    }

    function test_a_node_retires_and_may_come_back() public {
        refuse(abi.encodeWithSelector(IModelRegistry.UnknownNode.selector, address(this)));
        models.retireServingNode();
        models.registerServingNode(poster, "hash", "http://node");
        vm.expectEmit();
        emit IModelRegistry.ServingNodeRetired(address(this));
        models.retireServingNode();
        vm.assertTrue(!models.isNode(address(this)), "retired");
        models.registerServingNode(poster, "hash", "http://elsewhere");
        vm.assertTrue(models.isNode(address(this)), "back");
    }

    function test_a_model_changes_hands_with_its_terms() public {
        bytes32 modelId = register("base");
        models.setServiceTier(modelId, 2);
        refuse(abi.encodeWithSelector(IModelRegistry.ZeroOwner.selector));
        models.transferOwnership(modelId, address(0));
        vm.expectEmit();
        emit IModelRegistry.ModelOwnershipTransferred(modelId, address(this), poster);
        models.transferOwnership(modelId, poster);
        (address owner,, uint8 tier) = models.termsOf(modelId);
        eq(owner, poster, "owner");
        eq(tier, 2, "tier stays");
        refuse(abi.encodeWithSelector(IModelRegistry.NotModelOwner.selector, address(this)));
        models.transferOwnership(modelId, address(this));
    }

    function test_the_owner_sets_the_service_tier() public {
        bytes32 modelId = register("base");
        vm.expectEmit();
        emit IModelRegistry.ModelServiceTierSet(modelId, 0, 3);
        models.setServiceTier(modelId, 3);
        refuse(abi.encodeWithSelector(IModelRegistry.UnknownServiceTier.selector, 4));
        models.setServiceTier(modelId, 4);
        refuse(abi.encodeWithSelector(IModelRegistry.NotModelOwner.selector, poster));
        vm.prank(poster);
        models.setServiceTier(modelId, 0);
    }

    function testFuzz_accepts_exactly_the_weights_that_sum_to_the_whole(uint16 a, uint16 b, bool isWhole) public {
        if (isWhole && a <= 10_000) b = 10_000 - a;
        bytes32 base = register("base");
        bytes32 other = register("other");
        (bool isAccepted,) = address(models)
            .call(abi.encodeCall(models.registerModel, ("x", 4, params(1), twoParents(base, a, other, b))));
        vm.assertTrue(isAccepted == (a > 0 && b > 0 && uint256(a) + b == 10_000), "weights");
    }
}
