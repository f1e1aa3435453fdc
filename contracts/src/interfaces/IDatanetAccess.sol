// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

/// @title Requests for and grants of access to a Datanet's data, on the record.
/// @notice Wire values of a request's `state`: 0 none, 1 requested, 2 granted, 3 refused (or revoked).
interface IDatanetAccess {
    /// @notice Somebody asks the owner for the data, and says what for.
    event AccessRequested(uint64 indexed requestId, uint64 indexed datanetId, address indexed account, bytes32 purposeHash, string purpose);
    /// @notice The owner lets an account in until the second `expiresAt`.
    /// @param wrappedKey The data's key, encrypted for the account; empty where the data is public.
    event AccessGranted(uint64 indexed requestId, uint64 indexed datanetId, address indexed account, uint64 expiresAt, bytes wrappedKey);
    /// @notice The owner says no, or takes back what he granted.
    /// @param isRevoked Whether access that was live ended with it.
    event AccessRefused(uint64 indexed requestId, uint64 indexed datanetId, address indexed account, bytes32 reason, bool isRevoked);

    /// @notice There is no such Datanet.
    error UnknownDatanet(uint64 datanetId);
    /// @notice A purpose is missing or too long; bytes.
    error PurposeLength(uint256 given, uint256 max);
    /// @notice There is no such request.
    error UnknownRequest(uint64 requestId);
    /// @notice The request was answered otherwise.
    error WrongRequestState(uint8 state);
    /// @notice The caller does not own the Datanet.
    error NotDatanetOwner(address caller);
    /// @notice The grant would have ended; unix seconds.
    error ExpiryInThePast(uint64 expiresAt);
    /// @notice The wrapped key has too many bytes.
    error WrappedKeyTooLarge(uint256 given, uint256 max);

    /// @notice Anyone asks the Datanet's owner. @param purpose What the data is wanted for, in words, 1 to 1,024 bytes; purposeHash commits to the full text.
    function requestAccess(uint64 datanetId, bytes32 purposeHash, string calldata purpose) external returns (uint64 requestId);
    /// @notice Owner of the Datanet, here and in the next.
    function grantAccess(uint64 requestId, uint64 expiresAt, bytes calldata wrappedKey) external;
    /// @notice Refuse a request, or revoke what was granted to it.
    function refuseAccess(uint64 requestId, bytes32 reason) external;

    /// @notice Second until which the account was let use the data, 0 if never or revoked. It may have passed: hasAccess.
    function accessUntil(uint64 datanetId, address account) external view returns (uint64);
    function accessRequestCount() external view returns (uint64);
    function accessRequestOf(uint64 requestId) external view returns (uint64 datanetId, address account, uint8 state, uint64 expiresAt, bytes32 purposeHash);
    /// @notice Whether the account may use the data now.
    function hasAccess(uint64 datanetId, address account) external view returns (bool);
}
