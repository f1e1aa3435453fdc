// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {DaCertAnchor} from "../../src/DaCertAnchor.sol";
import {DaCertCodec} from "../../src/DaCertCodec.sol";
import {IAttributionLedger} from "../../src/interfaces/IAttributionLedger.sol";
import {ICrossDomainMessenger} from "../../src/interfaces/ICrossDomainMessenger.sol";
import {IDaCertMirror} from "../../src/interfaces/IDaCertMirror.sol";
import {LocalCertVerifier} from "../../src/local/LocalCertVerifier.sol";
import {Base, vm} from "../Base.sol";

/// @notice Certificates: decoded on layer 1, judged there, the verdict carried to layer 2, where it rejects an epoch.
/// @dev This test stands in for layer 2's messenger and records layer 1's.
contract DaCertTest is Base, ICrossDomainMessenger {
    uint8 private constant VALID = 1;
    uint8 private constant INVALID = 6;
    uint8 private constant INTERNAL_ERROR = 7;

    string private vectors;
    bytes[] private commitments;
    bytes[] private encoded;
    LocalCertVerifier private verifier;
    DaCertAnchor private onL1;

    address private sentTo;
    bytes private sent;
    function setUp() public override {
        super.setUp();
        vectors = vm.readFile("vectors/certificate.json");
        commitments = vm.parseJsonBytesArray(vectors, ".daCommitment");
        encoded = vm.parseJsonBytesArray(vectors, ".abiEncoded");
        verifier = new LocalCertVerifier();
        onL1 = new DaCertAnchor(verifier, this, address(mirror));
        vm.roll(1_000_000_000);
    }

    function sendMessage(address target, bytes calldata message, uint32 minGasLimit) external payable {
        vm.assertTrue(minGasLimit == 200_000, "gas of the relay");
        (sentTo, sent) = (target, message);
    }

    function xDomainMessageSender() external view returns (address) {
        return address(this);
    }

    function test_decodes_what_stands_in_events_into_what_the_verifier_takes() public view {
        uint256[] memory referenceBlocks = vm.parseJsonUintArray(vectors, ".referenceBlockNumber");
        eq(commitments.length, 3, "cases");
        for (uint256 i = 0; i < commitments.length; i++) {
            (bytes memory abiEncoded, uint32 referenceBlock) = onL1.decode(commitments[i]);
            eq(keccak256(abiEncoded), keccak256(encoded[i]), "encoded");
            eq(referenceBlock, referenceBlocks[i], "reference block");
        }
    }

    function test_sends_the_verifiers_verdict_to_the_mirror() public {
        bytes32 daRef = keccak256(commitments[1]);
        verifier.setStatus(keccak256(encoded[1]), VALID);
        vm.expectEmit();
        emit DaCertAnchor.DACertAnchored(daRef, address(this), VALID);
        eq(onL1.anchor(commitments[1]), VALID, "valid");
        eq(sentTo, address(mirror), "to the mirror");
        bytes memory expected = abi.encodeCall(IDaCertMirror.onVerified, (daRef, VALID, uint64(block.number)));
        eq(keccak256(sent), keccak256(expected), "message");
        eq(onL1.anchor(commitments[0]), INVALID, "unknown to the verifier");
    }

    function test_an_internal_error_is_no_verdict() public {
        verifier.setStatus(keccak256(encoded[1]), INTERNAL_ERROR);
        refuse(abi.encodeWithSelector(DaCertAnchor.NoVerdict.selector, INTERNAL_ERROR));
        onL1.anchor(commitments[1]);
    }

    function test_bytes_that_are_no_certificate_are_invalid() public {
        bytes memory cut = commitments[1];
        assembly ("memory-safe") {
            mstore(cut, sub(mload(cut), 1))
        }
        bytes memory otherVersion = commitments[1];
        otherVersion[0] = 0x01;
        bytes memory asV3 = commitments[1];
        asV3[0] = 0x02;
        bytes[5] memory wrong = [cut, otherVersion, asV3, bytes(""), hex"0380"];
        for (uint256 i = 0; i < wrong.length; i++) {
            eq(onL1.anchor(wrong[i]), INVALID, "no certificate");
        }
        refuse(abi.encodeWithSelector(DaCertCodec.UnknownVersion.selector, bytes1(0x01)));
        onL1.decode(otherVersion);
        refuse(abi.encodeWithSelector(DaCertCodec.WrongFieldCount.selector, 5, 4));
        onL1.decode(asV3);
    }

    function test_says_what_is_wrong_with_bytes_that_are_no_certificate() public {
        refuse(abi.encodeWithSelector(DaCertCodec.Empty.selector));
        onL1.decode("");
        bytes memory rest = hex"80808080"; // Four empty fields after the batch header.
        refuse(abi.encodeWithSelector(DaCertCodec.WrongHashLength.selector, 0));
        onL1.decode(bytes.concat(hex"03c7c28001", rest));
        refuse(abi.encodeWithSelector(DaCertCodec.IntegerTooLarge.selector, 1 << 32, type(uint32).max));
        onL1.decode(bytes.concat(hex"03ece7a0", keccak256("batch root"), hex"850100000000", rest));
    }

    function test_asks_the_verifier_only_with_gas_enough() public {
        try onL1.anchor{gas: 3_000_000}(commitments[1]) {
            vm.assertTrue(false, "too little");
        } catch (bytes memory reason) {
            vm.assertTrue(bytes4(reason) == DaCertAnchor.GasTooLow.selector, "says so");
        }
    }

    function test_a_reference_block_that_has_not_been_is_invalid() public {
        verifier.setStatus(keccak256(encoded[2]), VALID); // Its reference block is 2^32 - 1.
        eq(onL1.anchor(commitments[2]), INVALID, "of the future");
        vm.roll(uint256(type(uint32).max) + 1);
        eq(onL1.anchor(commitments[2]), VALID, "of the past");
    }

    /// EigenDA's verifier calls a certificate invalid when it runs out of gas while decoding.
    function testFuzz_little_gas_never_makes_a_valid_certificate_invalid(uint256 gas_) public {
        verifier.setStatus(keccak256(encoded[1]), VALID);
        gas_ = bound(gas_, 30_000, 12_000_000);
        try onL1.anchor{gas: gas_}(commitments[1]) returns (uint8 status) {
            eq(status, VALID, "verdict");
        } catch {
            vm.assertLe(gas_, 10_000_000, "enough");
        }
    }

    function test_only_the_anchor_through_the_messenger_writes_a_verdict() public {
        refuse(abi.encodeWithSelector(IDaCertMirror.NotMessenger.selector, address(this)));
        mirror.onVerified("ref", INVALID, 1);
        vm.etch(messenger, address(this).code);
        refuse(abi.encodeWithSelector(IDaCertMirror.NotAnchor.selector, messenger));
        vm.prank(messenger);
        mirror.onVerified("ref", INVALID, 1);
        eq(mirror.verdictOf("ref"), 0, "none");
    }

    function reached() private {
        vm.etch(messenger, type(FromAnchor).runtimeCode);
    }

    function verdict(bytes32 daRef, uint8 status) private {
        reached();
        vm.prank(messenger);
        mirror.onVerified(daRef, status, 7);
    }

    function test_the_first_verdict_stays_and_no_other_status_is_one() public {
        reached();
        vm.expectEmit();
        emit IDaCertMirror.DACertVerified("ref", INVALID, 7);
        vm.prank(messenger);
        mirror.onVerified("ref", INVALID, 7);
        verdict("ref", VALID);
        eq(mirror.verdictOf("ref"), INVALID, "first");
        reached();
        refuse(abi.encodeWithSelector(IDaCertMirror.NoVerdict.selector, INTERNAL_ERROR));
        vm.prank(messenger);
        mirror.onVerified("other", INTERNAL_ERROR, 7);
    }

    function propose(bytes memory daCommitment) private returns (IAttributionLedger.EpochHeader memory header) {
        fund(poster, address(ledger), BOND);
        header = IAttributionLedger.EpochHeader(
            "r", "a", 0, 0, 0, uint64(block.number) - 1, 0, 0, keccak256(daCommitment)
        );
        vm.prank(poster);
        ledger.propose(1, header, daCommitment);
    }

    function test_an_invalid_certificate_rejects_the_epoch_without_an_arbiter() public {
        IAttributionLedger.EpochHeader memory header = propose("cert");
        refuse(abi.encodeWithSelector(IAttributionLedger.CertificateNotInvalid.selector, header.daRef, 0));
        ledger.proveCertificateInvalid(1, header);
        verdict(header.daRef, INVALID);
        IAttributionLedger.EpochHeader memory other = header;
        vm.expectEmit();
        emit IAttributionLedger.CertificateProvenInvalid(1, guardian, header.daRef);
        vm.prank(guardian);
        ledger.proveCertificateInvalid(1, header);
        (uint8 status,,) = ledger.statusOf(1);
        eq(status, 3, "rejected");
        eq(ledger.bondCredit(guardian), BOND / 2, "half of the bond");
        eq(token.totalSupply(), token.SUPPLY() - (BOND - BOND / 2), "half burned");
        refuse(abi.encodeWithSelector(IAttributionLedger.NotProposed.selector, 1, 3));
        ledger.proveCertificateInvalid(1, other);
    }

    function test_a_valid_or_another_certificate_rejects_nothing() public {
        IAttributionLedger.EpochHeader memory header = propose("cert");
        verdict(header.daRef, VALID);
        refuse(abi.encodeWithSelector(IAttributionLedger.CertificateNotInvalid.selector, header.daRef, VALID));
        ledger.proveCertificateInvalid(1, header);
        verdict("another", INVALID);
        bytes32 proposed = ledger.openHeaderHash();
        header.daRef = "another";
        bytes32 given = keccak256(abi.encode(ledger.headerHash(), header));
        refuse(abi.encodeWithSelector(IAttributionLedger.HeaderMismatch.selector, given, proposed));
        ledger.proveCertificateInvalid(1, header);
    }

    function test_the_verdict_counts_while_a_dispute_waits_and_not_after_the_window() public {
        IAttributionLedger.EpochHeader memory header = propose("cert");
        fund(guardian, address(ledger), BOND);
        vm.prank(guardian);
        ledger.dispute(1, 1, "layer 1 will tell");
        verdict(header.daRef, INVALID);
        pass(WINDOW + 1);
        ledger.proveCertificateInvalid(1, header);
        eq(ledger.bondCredit(guardian), BOND, "the disputer has his bond back");
        eq(ledger.bondCredit(address(this)), BOND / 2, "the prover half of the poster's");
        header = propose("cert");
        (, uint64 deadline,) = ledger.statusOf(1);
        pass(WINDOW);
        refuse(abi.encodeWithSelector(IAttributionLedger.WindowClosed.selector, deadline));
        ledger.proveCertificateInvalid(1, header);
    }
}

/// @notice Code for the messenger's address: the message comes from the anchor.
contract FromAnchor {
    function xDomainMessageSender() external pure returns (address) {
        return address(0xA2C);
    }
}
