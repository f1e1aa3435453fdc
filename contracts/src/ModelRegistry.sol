// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IDatanetRegistry} from "./interfaces/IDatanetRegistry.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {Upgradeable} from "./Upgradeable.sol";

/// @title Models and serving nodes. Holds no money; upgradeable by the Timelock. Price, shares and lineage of a model
/// cannot be changed; its artifact has versions.
/// @notice Parents must exist before their children, so the lineage is acyclic by construction. How a payment walks
/// up the lineage is computed off chain from the edges; this contract bounds its depth and its weights.
contract ModelRegistry is IModelRegistry, Upgradeable {
    uint256 public constant PARENTS_MAX = 4;
    uint8 public constant DEPTH_MAX = 16;
    /// @notice Largest daCommitment, in bytes.
    uint256 public constant DA_COMMITMENT_BYTES_MAX = 16_384;
    /// @notice Highest service tier. What operating stake a tier takes of a node is the hub's (nodeStakeMinOf).
    uint8 public constant SERVICE_TIER_MAX = 3;
    uint8 private constant KIND_BASE = 0;
    uint8 private constant KIND_FULL = 1;
    uint8 private constant KIND_MERGE = 4;
    uint8 private constant RETIRED = 1;
    uint8 private constant PROVENANCE_MODE_MAX = 1;

    IDatanetRegistry public immutable datanetRegistry;

    struct Model {
        address owner;
        uint8 depth;
        uint8 status;
        uint32 version;
        uint8 serviceTier;
        uint128 pricePerCall;
    }

    mapping(bytes32 modelId => Model) private _models;
    /// @inheritdoc IModelRegistry
    mapping(address node => bool) public isNode;

    constructor(IDatanetRegistry datanetRegistry_, address upgrader_) Upgradeable(upgrader_) {
        datanetRegistry = datanetRegistry_;
    }

    /// @inheritdoc IModelRegistry
    function registerModel(string calldata name, uint8 kind, ModelParams calldata params, Parent[] calldata parents)
        external
        returns (bytes32 modelId)
    {
        require(kind <= KIND_MERGE, UnknownKind(kind));
        require(params.provenanceMode <= PROVENANCE_MODE_MAX, UnknownProvenanceMode(params.provenanceMode));
        require(params.ownerBps <= 10_000, InvalidBps(params.ownerBps));
        // Without parents nobody else could take the remainder.
        require(parents.length > 0 || params.ownerBps == 10_000, InvalidBps(params.ownerBps));
        _checkParentCount(kind, parents.length);

        modelId = keccak256(abi.encode(msg.sender, params.artifactHash, name));
        require(_models[modelId].owner == address(0), ModelExists(modelId));
        uint8 depth = _depthBelow(parents);
        _models[modelId] = Model(msg.sender, depth, 0, 1, 0, params.pricePerCall);

        emit ModelRegistered(modelId, msg.sender, kind, params);
        for (uint256 i = 0; i < parents.length; i++) {
            emit LineageEdge(modelId, parents[i].modelId, parents[i].weightBps, depth);
        }
    }

    /// @inheritdoc IModelRegistry
    function publishVersion(bytes32 modelId, bytes32 artifactHash, bytes32 evalHash, string calldata uri)
        external
        returns (uint32 version)
    {
        version = ++_ownedModel(modelId).version;
        emit ModelVersionPublished(modelId, version, artifactHash, evalHash, uri);
    }

    /// @inheritdoc IModelRegistry
    function setStatus(bytes32 modelId, uint8 status) external {
        require(status <= RETIRED, UnknownStatus(status));
        Model storage model = _ownedModel(modelId);
        emit ModelStatusChanged(modelId, model.status, status);
        model.status = status;
    }

    /// @inheritdoc IModelRegistry
    function setServiceTier(bytes32 modelId, uint8 tier) external {
        require(tier <= SERVICE_TIER_MAX, UnknownServiceTier(tier));
        Model storage model = _ownedModel(modelId);
        emit ModelServiceTierSet(modelId, model.serviceTier, tier);
        model.serviceTier = tier;
    }

    /// @inheritdoc IModelRegistry
    function transferOwnership(bytes32 modelId, address to) external {
        Model storage model = _ownedModel(modelId);
        require(to != address(0), ZeroOwner());
        model.owner = to;
        emit ModelOwnershipTransferred(modelId, msg.sender, to);
    }

    /// @inheritdoc IModelRegistry
    /// @dev Stores nothing: it binds only the caller's own model.
    function useDatanet(bytes32 modelId, uint64 datanetId, bytes32 snapshotRoot, bytes32 trainingManifestHash) external {
        _ownedModel(modelId);
        require(datanetRegistry.ownerOf(datanetId) != address(0), UnknownDatanet(datanetId));
        bool isTrained = trainingManifestHash != bytes32(0);
        require(isTrained == (snapshotRoot != bytes32(0)), IncompleteManifest(snapshotRoot, trainingManifestHash));
        emit DatanetUsed(modelId, datanetId, snapshotRoot, trainingManifestHash);
    }

    /// @inheritdoc IModelRegistry
    function publishManifest(bytes32 modelId, bytes32 manifestHash, bytes calldata daCommitment) external {
        _ownedModel(modelId);
        require(
            daCommitment.length <= DA_COMMITMENT_BYTES_MAX,
            DaCommitmentTooLarge(daCommitment.length, DA_COMMITMENT_BYTES_MAX)
        );
        emit TrainingManifestPublished(modelId, manifestHash, keccak256(daCommitment), daCommitment);
    }

    /// @inheritdoc IModelRegistry
    function registerServingNode(address operator, bytes32 attestationHash, string calldata endpoint) external {
        require(!isNode[msg.sender], NodeExists(msg.sender));
        isNode[msg.sender] = true;
        emit ServingNodeRegistered(msg.sender, operator, attestationHash, endpoint);
    }

    /// @inheritdoc IModelRegistry
    function retireServingNode() external {
        require(isNode[msg.sender], UnknownNode(msg.sender));
        isNode[msg.sender] = false;
        emit ServingNodeRetired(msg.sender);
    }

    /// @inheritdoc IModelRegistry
    function ownerOf(bytes32 modelId) external view returns (address) {
        return _models[modelId].owner;
    }

    /// @inheritdoc IModelRegistry
    function priceOf(bytes32 modelId) external view returns (uint128) {
        return _models[modelId].pricePerCall;
    }

    /// @inheritdoc IModelRegistry
    function termsOf(bytes32 modelId) external view returns (address owner, uint128 pricePerCall, uint8 serviceTier) {
        Model storage model = _models[modelId];
        return (model.owner, model.pricePerCall, model.serviceTier);
    }

    /// @inheritdoc IModelRegistry
    function depthOf(bytes32 modelId) external view returns (uint8) {
        return _models[modelId].depth;
    }

    /// @inheritdoc IModelRegistry
    function versionOf(bytes32 modelId) external view returns (uint32) {
        return _models[modelId].version;
    }

    /// @inheritdoc IModelRegistry
    function statusOf(bytes32 modelId) external view returns (uint8) {
        return _models[modelId].status;
    }

    function _ownedModel(bytes32 modelId) private view returns (Model storage model) {
        model = _models[modelId];
        require(model.owner != address(0), UnknownModel(modelId));
        require(model.owner == msg.sender, NotModelOwner(msg.sender));
    }

    function _checkParentCount(uint8 kind, uint256 count) private pure {
        uint256 min = kind == KIND_BASE ? 0 : kind == KIND_MERGE ? 2 : 1;
        uint256 max = kind == KIND_BASE ? 0 : kind == KIND_MERGE || kind == KIND_FULL ? PARENTS_MAX : 1;
        require(count <= max, TooManyParents(count, max));
        require(count >= min, TooFewParents(count, min));
    }

    /// @return depth 0 without parents, else one more than the deepest parent's.
    function _depthBelow(Parent[] calldata parents) private view returns (uint8 depth) {
        uint256 weightsBps = 0;
        for (uint256 i = 0; i < parents.length; i++) {
            bytes32 parentId = parents[i].modelId;
            Model storage parent = _models[parentId];
            require(parent.owner != address(0), UnknownModel(parentId));
            require(parent.status != RETIRED, ModelRetired(parentId));
            require(parents[i].weightBps > 0, InvalidBps(0));
            for (uint256 j = 0; j < i; j++) {
                require(parents[j].modelId != parentId, DuplicateParent(parentId));
            }
            weightsBps += parents[i].weightBps;
            if (parent.depth >= depth) depth = parent.depth + 1;
        }
        require(parents.length == 0 || weightsBps == 10_000, WeightsMustSumTo10000(weightsBps));
        require(depth <= DEPTH_MAX, LineageTooDeep(depth, DEPTH_MAX));
    }
}
