// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {ICrossDomainMessenger} from "../../src/interfaces/ICrossDomainMessenger.sol";
import {LocalMessenger} from "../../src/local/LocalMessenger.sol";
import {Base, vm} from "../Base.sol";

/// @notice What tests on two chains rest on: it must be as strict as the OP Stack's messenger.
contract LocalMessengerTest is Base {
    address private other = address(0x0123);
    address private sender = address(0x5E);
    address private aliased = address(uint160(0x0123) + uint160(0x1111000000000000000000000000000000001111));
    LocalMessenger private local;
    address private seen;

    error Refused();

    function setUp() public override {
        super.setUp();
        local = new LocalMessenger(other);
    }

    /// @notice Target of the messages: who sent them, on the other layer.
    function receiveMessage() external {
        seen = local.xDomainMessageSender();
    }

    function refuseMessage() external pure {
        revert Refused();
    }

    function test_numbers_the_messages_it_sends() public {
        for (uint256 nonce = 0; nonce < 2; nonce++) {
            vm.expectEmit();
            emit ICrossDomainMessenger.SentMessage(sender, address(this), "message", nonce, 7);
            local.sendMessage(sender, "message", 7);
        }
    }

    function test_tells_the_sender_during_a_relay_alone() public {
        refuse(abi.encodeWithSelector(LocalMessenger.NoMessageIsRelayed.selector));
        local.xDomainMessageSender();
        vm.prank(aliased);
        local.relayMessage(0, sender, address(this), 0, 100_000, abi.encodeCall(this.receiveMessage, ()));
        eq(seen, sender, "sender");
        refuse(abi.encodeWithSelector(LocalMessenger.NoMessageIsRelayed.selector));
        local.xDomainMessageSender();
    }

    function test_relays_for_the_other_layers_messenger_alone_and_tells_of_failures() public {
        bytes memory call_ = abi.encodeCall(this.refuseMessage, ());
        refuse(abi.encodeWithSelector(LocalMessenger.NotOtherMessenger.selector, other));
        vm.prank(other);
        local.relayMessage(0, sender, address(this), 0, 100_000, call_);
        bytes memory reason = abi.encodeWithSelector(Refused.selector);
        refuse(abi.encodeWithSelector(LocalMessenger.RelayFailed.selector, reason));
        vm.prank(aliased);
        local.relayMessage(0, sender, address(this), 0, 100_000, call_);
    }
}
