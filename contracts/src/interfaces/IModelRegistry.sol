// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Models, their lineage, the Datanets they retrieve from and the nodes that serve them.
interface IModelRegistry {
    /// @param ownerBps Part of the model's share the owner keeps; the rest passes to the parents by weight. 10,000 without parents.
    /// @param provenanceMode 0 public (texts of calls are published), 1 sealed.
    struct ModelParams {
        bytes32 artifactHash;
        bytes32 configHash;
        bytes32 trainingDataRoot;
        bytes32 tokenizerHash;
        uint16 ownerBps;
        uint8 provenanceMode;
        uint128 pricePerCall;
        string uri;
    }

    struct Parent {
        bytes32 modelId;
        uint16 weightBps;
    }

    /// @notice A model is on the record.
    /// @dev kind: 0 base, 1 full fine-tune, 2 LoRA, 3 quantisation, 4 merge.
    event ModelRegistered(bytes32 indexed modelId, address indexed owner, uint8 indexed kind, ModelParams params);
    /// @notice A model was made from another; `weightBps` is the parent's part of 10,000.
    event LineageEdge(bytes32 indexed childId, bytes32 indexed parentId, uint16 weightBps, uint8 depth);
    /// @notice A model was trained on, or retrieves from, a Datanet.
    event DatanetUsed(bytes32 indexed modelId, uint64 indexed datanetId, bytes32 snapshotRoot, bytes32 trainingManifestHash);
    /// @notice What a model was trained on, and how, is in a blob.
    /// @param manifestHash Content hash of the training payload. @param daRef keccak256(daCommitment).
    event TrainingManifestPublished(bytes32 indexed modelId, bytes32 indexed manifestHash, bytes32 daRef, bytes daCommitment);
    /// @notice A model, and its share of what it earns, has another owner.
    event ModelOwnershipTransferred(bytes32 indexed modelId, address indexed from, address indexed to);
    /// @notice Tier whose operating stake a node needs to settle calls of the model.
    event ModelServiceTierSet(bytes32 indexed modelId, uint8 oldTier, uint8 newTier);
    /// @notice A node takes no part until it registers again.
    event ServingNodeRetired(address indexed node);
    /// @notice A node says where it serves.
    event ServingNodeRegistered(address indexed node, address indexed operator, bytes32 attestationHash, string endpoint);

    /// @notice A model has a new version.
    /// @param version Counts from 2: what was registered is version 1.
    event ModelVersionPublished(bytes32 indexed modelId, uint32 indexed version, bytes32 artifactHash, bytes32 evalHash, string uri);
    /// @notice A model was retired, or taken up again.
    /// @param newStatus 0 active, 1 retired: no new children.
    event ModelStatusChanged(bytes32 indexed modelId, uint8 oldStatus, uint8 newStatus);

    /// @notice Nobody would own it.
    error ZeroOwner();
    /// @notice The caller is no serving node.
    error UnknownNode(address node);
    /// @notice There is no such tier.
    error UnknownServiceTier(uint8 tier);
    /// @notice A snapshot without the manifest that used it, or the reverse.
    error IncompleteManifest(bytes32 snapshotRoot, bytes32 trainingManifestHash);
    /// @notice This kind of model is made from more.
    error TooFewParents(uint256 given, uint256 min);
    /// @notice There is no such status.
    error UnknownStatus(uint8 status);
    /// @notice A retired model has no new children.
    error ModelRetired(bytes32 modelId);
    /// @notice The same model was registered.
    error ModelExists(bytes32 modelId);
    /// @notice There is no such model.
    error UnknownModel(bytes32 modelId);
    /// @notice There is no such Datanet.
    error UnknownDatanet(uint64 datanetId);
    /// @notice There is no such kind of model.
    error UnknownKind(uint8 kind);
    /// @notice There is no such mode.
    error UnknownProvenanceMode(uint8 mode);
    /// @notice This kind of model is made from fewer.
    error TooManyParents(uint256 given, uint256 max);
    /// @notice The line of ancestors is too long.
    error LineageTooDeep(uint8 given, uint8 max);
    /// @notice The parts of the parents do not sum to the whole.
    error WeightsMustSumTo10000(uint256 given);
    /// @notice A parent is named twice.
    error DuplicateParent(bytes32 parentId);
    /// @notice A share of more than the whole, of less than it where there are no parents, or a parent of no weight.
    error InvalidBps(uint16 given);
    /// @notice The caller does not own the model.
    error NotModelOwner(address caller);
    /// @notice The node is registered.
    error NodeExists(address node);
    /// @notice The certificate of the blob has too many bytes.
    error DaCommitmentTooLarge(uint256 given, uint256 max);

    /// @notice A base has no parents, a LoRA or a quantisation exactly one, a merge two to four, a full fine-tune one to four.
    /// @return modelId keccak256(abi.encode(owner, artifactHash, name))
    function registerModel(string calldata name, uint8 kind, ModelParams calldata params, Parent[] calldata parents) external returns (bytes32 modelId);
    /// @notice Declare a Datanet the model retrieves from (snapshotRoot and manifest zero) or was trained on (neither zero).
    /// A manifest that names several Datanets is declared once for each, with that Datanet's snapshot.
    function useDatanet(bytes32 modelId, uint64 datanetId, bytes32 snapshotRoot, bytes32 trainingManifestHash) external;
    /// @notice Owner: where the payload lies that says what the model was trained on. The hash published first counts; the same
    /// hash again names another blob of the same payload.
    /// @param daCommitment Certificate of the blob, at most 16,384 bytes.
    function publishManifest(bytes32 modelId, bytes32 manifestHash, bytes calldata daCommitment) external;
    /// @notice Owner: a new version of the artifact. Price, shares and lineage stay.
    function publishVersion(bytes32 modelId, bytes32 artifactHash, bytes32 evalHash, string calldata uri) external returns (uint32 version);
    /// @notice Owner. @param status 0 active, 1 retired.
    function setStatus(bytes32 modelId, uint8 status) external;
    /// @notice Owner: the model's share of later batches goes to `to`, who alone may change it.
    function transferOwnership(bytes32 modelId, address to) external;
    /// @notice Owner. @param tier 0 to 3. Each takes ten times the operating stake of the one below.
    function setServiceTier(bytes32 modelId, uint8 tier) external;
    /// @notice The node settles no more; its stake can leave. It may register again, with other data.
    function retireServingNode() external;
    /// @notice The node is the caller; its key signs receipts.
    function registerServingNode(address operator, bytes32 attestationHash, string calldata endpoint) external;

    function ownerOf(bytes32 modelId) external view returns (address);
    function priceOf(bytes32 modelId) external view returns (uint128);
    /// @notice Owner, price and tier in one; the owner is zero where there is no such model.
    function termsOf(bytes32 modelId) external view returns (address owner, uint128 pricePerCall, uint8 serviceTier);
    function versionOf(bytes32 modelId) external view returns (uint32);
    function statusOf(bytes32 modelId) external view returns (uint8);
    function depthOf(bytes32 modelId) external view returns (uint8);
    function isNode(address node) external view returns (bool);
}
