// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IModelRegistry} from "./interfaces/IModelRegistry.sol";

/// @title Models and serving nodes. Immutable, no owner; what is registered cannot be changed.
/// @notice Parents must exist before their children, so the lineage is acyclic by construction. How a payment walks
/// up the lineage is computed off chain from the edges; this contract bounds its depth and its weights.
contract ModelRegistry is IModelRegistry {
    uint256 public constant PARENTS_MAX = 4;
    uint8 public constant DEPTH_MAX = 16;
    uint8 private constant KIND_BASE = 0;
    uint8 private constant KIND_MAX = 4;
    uint8 private constant PROVENANCE_MODE_MAX = 1;

    struct Model {
        address owner;
        uint8 depth;
        uint128 pricePerCall;
    }

    mapping(bytes32 modelId => Model) private _models;
    /// @inheritdoc IModelRegistry
    mapping(address node => bool) public isNode;

    /// @inheritdoc IModelRegistry
    function registerModel(string calldata name, uint8 kind, ModelParams calldata params, Parent[] calldata parents)
        external
        returns (bytes32 modelId)
    {
        require(kind <= KIND_MAX, UnknownKind(kind));
        require(params.provenanceMode <= PROVENANCE_MODE_MAX, UnknownProvenanceMode(params.provenanceMode));
        require(params.ownerBps <= 10_000, InvalidBps(params.ownerBps));
        // Without parents nobody else could take the remainder.
        require(parents.length > 0 || params.ownerBps == 10_000, InvalidBps(params.ownerBps));
        uint256 parentsMax = kind == KIND_BASE ? 0 : PARENTS_MAX;
        require(parents.length <= parentsMax, TooManyParents(parents.length, parentsMax));

        modelId = keccak256(abi.encode(msg.sender, params.artifactHash, name));
        require(_models[modelId].owner == address(0), ModelExists(modelId));
        uint8 depth = _depthBelow(parents);
        _models[modelId] = Model({owner: msg.sender, depth: depth, pricePerCall: params.pricePerCall});

        emit ModelRegistered(modelId, msg.sender, kind, params);
        for (uint256 i = 0; i < parents.length; i++) {
            emit LineageEdge(modelId, parents[i].modelId, parents[i].weightBps, depth);
        }
    }

    /// @inheritdoc IModelRegistry
    /// @dev Stores nothing and does not check that the Datanet exists: it binds only the caller's own model.
    function useDatanet(bytes32 modelId, uint64 datanetId, bytes32 snapshotRoot, bytes32 trainingManifestHash) external {
        address owner = _models[modelId].owner;
        require(owner != address(0), UnknownModel(modelId));
        require(owner == msg.sender, NotModelOwner(msg.sender));
        emit DatanetUsed(modelId, datanetId, snapshotRoot, trainingManifestHash);
    }

    /// @inheritdoc IModelRegistry
    function registerServingNode(address operator, bytes32 attestationHash, string calldata endpoint) external {
        require(!isNode[msg.sender], NodeExists(msg.sender));
        isNode[msg.sender] = true;
        emit ServingNodeRegistered(msg.sender, operator, attestationHash, endpoint);
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
    function termsOf(bytes32 modelId) external view returns (address owner, uint128 pricePerCall) {
        Model storage model = _models[modelId];
        return (model.owner, model.pricePerCall);
    }

    /// @inheritdoc IModelRegistry
    function depthOf(bytes32 modelId) external view returns (uint8) {
        return _models[modelId].depth;
    }

    /// @return depth 0 without parents, else one more than the deepest parent's.
    function _depthBelow(Parent[] calldata parents) private view returns (uint8 depth) {
        uint256 weightsBps = 0;
        for (uint256 i = 0; i < parents.length; i++) {
            bytes32 parentId = parents[i].modelId;
            Model storage parent = _models[parentId];
            require(parent.owner != address(0), UnknownModel(parentId));
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
