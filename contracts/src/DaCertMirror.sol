// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ICrossDomainMessenger} from "./interfaces/ICrossDomainMessenger.sol";
import {IDaCertMirror} from "./interfaces/IDaCertMirror.sol";

/// @title Layer 2's copy of the verdicts of DaCertAnchor. Immutable, holds nothing.
/// @notice Trusted: the OP Stack's messenger, EigenDA's verifier behind the anchor. Nobody else can write a verdict.
contract DaCertMirror is IDaCertMirror {
    uint8 private constant VALID = 1;
    uint8 private constant INVALID = 6;

    ICrossDomainMessenger public immutable messenger;
    /// @notice The DaCertAnchor on layer 1.
    address public immutable anchor;

    /// @inheritdoc IDaCertMirror
    mapping(bytes32 daRef => uint8) public verdictOf;

    constructor(ICrossDomainMessenger messenger_, address anchor_) {
        messenger = messenger_;
        anchor = anchor_;
    }

    /// @inheritdoc IDaCertMirror
    function onVerified(bytes32 daRef, uint8 status, uint64 l1Block) external {
        require(msg.sender == address(messenger), NotMessenger(msg.sender));
        address sender = messenger.xDomainMessageSender();
        require(sender == anchor, NotAnchor(sender));
        require(status == VALID || status == INVALID, NoVerdict(status));
        if (verdictOf[daRef] != 0) return; // A second anchoring must not fail on layer 2 for ever.
        verdictOf[daRef] = status;
        emit DACertVerified(daRef, status, l1Block);
    }
}
