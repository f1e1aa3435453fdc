// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {IDatanetAccess} from "./interfaces/IDatanetAccess.sol";

/// @title The registry's part that keeps who may use a Datanet's data, for what and until when.
/// @notice A request: (none) ──requestAccess──▶ requested ──grantAccess──▶ granted ──revokeAccess──▶ refused; or
/// ──refuseAccess──▶ refused. A grant ends by itself at its expiry.
abstract contract DatanetAccess is IDatanetAccess {
    /// @notice Largest wrapped key and largest purpose, in bytes.
    uint256 public constant WRAPPED_KEY_BYTES_MAX = 1_024;
    uint256 public constant PURPOSE_BYTES_MAX = 1_024;

    uint8 private constant REQUESTED = 1;
    uint8 private constant GRANTED = 2;
    uint8 private constant REFUSED = 3;

    struct Request {
        uint64 datanetId;
        address account;
        uint8 state;
        uint64 expiresAt;
        bytes32 purposeHash;
    }

    /// @inheritdoc IDatanetAccess
    uint64 public accessRequestCount;
    mapping(uint64 requestId => Request) private _requests;
    /// @inheritdoc IDatanetAccess
    mapping(uint64 datanetId => mapping(address account => uint64)) public accessUntil;

    /// @inheritdoc IDatanetAccess
    function requestAccess(uint64 datanetId, bytes32 purposeHash, string calldata purpose)
        external
        returns (uint64 requestId)
    {
        require(_ownerOf(datanetId) != address(0), UnknownDatanet(datanetId));
        uint256 length = bytes(purpose).length;
        require(length > 0 && length <= PURPOSE_BYTES_MAX, PurposeLength(length, PURPOSE_BYTES_MAX));
        requestId = ++accessRequestCount;
        _requests[requestId] = Request(datanetId, msg.sender, REQUESTED, 0, purposeHash);
        emit AccessRequested(requestId, datanetId, msg.sender, purposeHash, purpose);
    }

    /// @inheritdoc IDatanetAccess
    function grantAccess(uint64 requestId, uint64 expiresAt, bytes calldata wrappedKey) external {
        Request storage request = _ownersRequest(requestId);
        require(request.state == REQUESTED, WrongRequestState(request.state));
        require(expiresAt > block.timestamp, ExpiryInThePast(expiresAt));
        require(wrappedKey.length <= WRAPPED_KEY_BYTES_MAX, WrappedKeyTooLarge(wrappedKey.length, WRAPPED_KEY_BYTES_MAX));
        request.state = GRANTED;
        request.expiresAt = expiresAt;
        accessUntil[request.datanetId][request.account] = expiresAt;
        emit AccessGranted(requestId, request.datanetId, request.account, expiresAt, wrappedKey);
    }

    /// @inheritdoc IDatanetAccess
    function refuseAccess(uint64 requestId, bytes32 reason) external {
        Request storage request = _ownersRequest(requestId);
        require(request.state == REQUESTED || request.state == GRANTED, WrongRequestState(request.state));
        // A later grant to the same account is not undone by the refusal of an earlier one.
        bool isLive = request.state == GRANTED
            && accessUntil[request.datanetId][request.account] == request.expiresAt;
        request.state = REFUSED;
        if (isLive) accessUntil[request.datanetId][request.account] = 0;
        emit AccessRefused(requestId, request.datanetId, request.account, reason, isLive);
    }

    /// @inheritdoc IDatanetAccess
    function accessRequestOf(uint64 requestId)
        external
        view
        returns (uint64 datanetId, address account, uint8 state, uint64 expiresAt, bytes32 purposeHash)
    {
        Request storage request = _requests[requestId];
        return (request.datanetId, request.account, request.state, request.expiresAt, request.purposeHash);
    }

    /// @inheritdoc IDatanetAccess
    function hasAccess(uint64 datanetId, address account) external view returns (bool) {
        return block.timestamp < accessUntil[datanetId][account];
    }

    function _ownerOf(uint64 datanetId) internal view virtual returns (address);

    function _ownersRequest(uint64 requestId) private view returns (Request storage request) {
        request = _requests[requestId];
        require(request.state != 0, UnknownRequest(requestId));
        require(_ownerOf(request.datanetId) == msg.sender, NotDatanetOwner(msg.sender));
    }
}
