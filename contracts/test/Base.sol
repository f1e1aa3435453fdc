// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {AttributionLedger} from "../src/AttributionLedger.sol";
import {ChannelEscrow} from "../src/ChannelEscrow.sol";
import {CurveFactory} from "../src/CurveFactory.sol";
import {DaCertMirror} from "../src/DaCertMirror.sol";
import {DatanetDao, DatanetDaoFactory} from "../src/DatanetDao.sol";
import {DatanetRegistry} from "../src/DatanetRegistry.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {Permissions, RegistryProxy, Timelock, TributaryGovernor} from "../src/Governance.sol";
import {Erc3009DepositCollector} from "../src/Erc3009DepositCollector.sol";
import {IChannelEscrow} from "../src/interfaces/IChannelEscrow.sol";
import {ICrossDomainMessenger} from "../src/interfaces/ICrossDomainMessenger.sol";
import {IDaCertMirror} from "../src/interfaces/IDaCertMirror.sol";
import {ModelCurve} from "../src/ModelCurve.sol";
import {ModelProposals} from "../src/ModelProposals.sol";
import {ModelRegistry} from "../src/ModelRegistry.sol";
import {OpenToken} from "../src/OpenToken.sol";
import {RewardDistributor} from "../src/RewardDistributor.sol";
import {SettlementHub} from "../src/SettlementHub.sol";
import {StakeVault} from "../src/StakeVault.sol";

/// @notice The cheatcodes we use. See Foundry's book for each.
interface Vm {
    function addr(uint256 key) external pure returns (address);
    function assertEq(uint256 left, uint256 right, string calldata error_) external pure;
    function assertLe(uint256 left, uint256 right, string calldata error_) external pure;
    function assertTrue(bool condition, string calldata error_) external pure;
    function assume(bool condition) external pure;
    function chainId(uint256 chainId_) external;
    function deal(address account, uint256 amount) external;
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function envOr(string calldata name, string calldata otherwise) external view returns (string memory);
    function etch(address target, bytes calldata code) external;
    function expectEmit() external;
    function expectRevert(bytes calldata data) external;
    function getNonce(address account) external view returns (uint64);
    function parseJsonAddress(string calldata json, string calldata key) external pure returns (address);
    function parseJsonAddressArray(string calldata json, string calldata key) external pure returns (address[] memory);
    function parseJsonBytesArray(string calldata json, string calldata key) external pure returns (bytes[] memory);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function parseJsonBytes32Array(string calldata json, string calldata key) external pure returns (bytes32[] memory);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function parseJsonUintArray(string calldata json, string calldata key) external pure returns (uint256[] memory);
    function keyExistsJson(string calldata json, string calldata key) external view returns (bool);
    function prank(address sender) external;
    function prank(address sender, address origin) external;
    function readFile(string calldata path) external view returns (string memory);
    function roll(uint256 blockNumber) external;
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256 gasUsed);
    function startPrank(address sender) external;
    function stopPrank() external;
    function toString(uint256 value) external pure returns (string memory);
    function warp(uint256 timestamp) external;
}

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

/// @notice All contracts wired as the deployment wires them, and the few things every test does.
abstract contract Base {
    /// @notice Tells Foundry that this is a test contract.
    bool public constant IS_TEST = true;

    uint64 internal constant COOLDOWN = 3 days;
    uint64 internal constant WINDOW = 2 days;
    uint64 internal constant ARBITRATION = 5 days;
    uint128 internal constant BOND = 1_001; // Odd, so that halves round.
    uint16 internal constant NODE_BPS = 2_000;
    uint16 internal constant TREASURY_BPS = 500;
    uint128 internal constant FAULT_BOND = 77;
    uint64 internal constant VOTING_PERIOD = 4 days;
    uint256 internal constant TIMELOCK_DELAY = 2 days;
    uint16 internal constant QUORUM_BPS = 400;
    uint64 internal constant ANSWER_WINDOW = 1 days;

    address internal treasury = address(0x77EA);
    address internal poster = address(0x905);
    address internal arbiter = address(0xA4B);
    address internal guardian = address(0x6A4D);
    /// @notice Layer 2's messenger predeploy, and the anchor on layer 1.
    address internal messenger = 0x4200000000000000000000000000000000000007;
    address internal anchor = address(0xA2C);

    OpenToken internal token;
    StakeVault internal vault;
    DatanetRegistry internal datanets;
    ModelRegistry internal models;
    ChannelEscrow internal escrow;
    RewardDistributor internal distributor;
    SettlementHub internal hub;
    AttributionLedger internal ledger;
    Erc3009DepositCollector internal collector3009;
    ModelCurve internal curveCode;
    CurveFactory internal factory;
    ModelProposals internal proposals;
    Permissions internal permissions;
    Timelock internal timelock;
    TributaryGovernor internal governor;
    DaCertMirror internal mirror;
    DatanetDao internal daoCode;
    DatanetDaoFactory internal daos;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        vm.roll(1_000);
        uint256 nonce = vm.getNonce(address(this));
        address vaultAddress = vm.computeCreateAddress(address(this), nonce + 3);
        address registryAddress = vm.computeCreateAddress(address(this), nonce + 5);
        address hubAddress = vm.computeCreateAddress(address(this), nonce + 10);
        address ledgerAddress = vm.computeCreateAddress(address(this), nonce + 11);
        address proposalsAddress = vm.computeCreateAddress(address(this), nonce + 15);
        address governorAddress = vm.computeCreateAddress(address(this), nonce + 16);
        IDaCertMirror mirrorAddress = IDaCertMirror(vm.computeCreateAddress(address(this), nonce + 17));
        token = new OpenToken(address(this));
        timelock = new Timelock(TIMELOCK_DELAY, governorAddress);
        permissions = new Permissions(address(this));
        vault = new StakeVault(token, registryAddress, hubAddress, proposalsAddress, treasury, COOLDOWN);
        address code = address(
            new DatanetRegistry(
                StakeVault(vaultAddress), AttributionLedger(ledgerAddress), address(permissions), address(timelock)
            )
        );
        datanets = DatanetRegistry(address(new RegistryProxy(code)));
        models = ModelRegistry(address(new RegistryProxy(address(new ModelRegistry(datanets, address(timelock))))));
        escrow = new ChannelEscrow(token);
        distributor = new RewardDistributor(token, ledgerAddress);
        hub = newHub(NODE_BPS, TREASURY_BPS, 0);
        ledger = new AttributionLedger(
            token, distributor, mirrorAddress, address(permissions), BOND, WINDOW, ARBITRATION
        );
        collector3009 = new Erc3009DepositCollector(address(escrow));
        curveCode = new ModelCurve(token);
        factory = new CurveFactory(curveCode, proposalsAddress);
        proposals = new ModelProposals(
            token, datanets, models, vault, factory, address(permissions), BOND, VOTING_PERIOD, QUORUM_BPS, ARBITRATION
        );
        governor = new TributaryGovernor(IVotes(address(token)), timelock, 1 days, 7 days, 1 days);
        mirror = new DaCertMirror(ICrossDomainMessenger(messenger), anchor);
        daoCode = new DatanetDao(datanets, vault);
        daos = new DatanetDaoFactory(daoCode);
        require(address(mirror) == address(mirrorAddress), "wired");
        require(address(vault) == vaultAddress && address(datanets) == registryAddress, "wired");
        require(address(hub) == hubAddress && address(ledger) == ledgerAddress, "wired");
        require(address(proposals) == proposalsAddress && address(governor) == governorAddress, "wired");
        grantRoles();
    }

    /// @notice As the deployment does it, in one call: who may call what, who holds which role, and no more deployer.
    function grantRoles() private {
        bytes[] memory calls = new bytes[](13);
        calls[0] = allow(address(ledger), ledger.propose.selector, permissions.POSTER());
        calls[1] = allow(address(datanets), datanets.recordUsage.selector, permissions.POSTER());
        calls[2] = allow(address(ledger), ledger.resolveDispute.selector, permissions.ARBITER());
        calls[3] = allow(address(proposals), proposals.resolveReport.selector, permissions.ARBITER());
        calls[4] = allow(address(ledger), ledger.pauseIntake.selector, permissions.GUARDIAN());
        calls[5] = allow(address(ledger), ledger.resumeIntake.selector, permissions.GUARDIAN());
        calls[6] = allow(address(hub), hub.pauseIntake.selector, permissions.GUARDIAN());
        calls[7] = allow(address(hub), hub.resumeIntake.selector, permissions.GUARDIAN());
        calls[8] = abi.encodeCall(permissions.grantRole, (permissions.POSTER(), poster, 0));
        calls[9] = abi.encodeCall(permissions.grantRole, (permissions.ARBITER(), arbiter, 0));
        calls[10] = abi.encodeCall(permissions.grantRole, (permissions.GUARDIAN(), guardian, 0));
        calls[11] = abi.encodeCall(permissions.grantRole, (permissions.ADMIN_ROLE(), address(timelock), 0));
        calls[12] = abi.encodeCall(permissions.renounceRole, (permissions.ADMIN_ROLE(), address(this)));
        permissions.multicall(calls);
    }

    function allow(address target, bytes4 selector, uint64 role) private view returns (bytes memory) {
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = selector;
        return abi.encodeCall(permissions.setTargetFunctionRole, (target, selectors, role));
    }

    function newHub(uint16 nodeBps, uint16 treasuryBps, uint128 nodeStakeMin) internal returns (SettlementHub) {
        return new SettlementHub(
            token,
            escrow,
            vault,
            FAULT_BOND,
            ANSWER_WINDOW,
            models,
            distributor,
            treasury,
            nodeBps,
            treasuryBps,
            nodeStakeMin,
            address(permissions)
        );
    }

    /// @notice Gives `account` tokens and lets `spender` pull them.
    function fund(address account, address spender, uint256 amount) internal {
        token.transfer(account, amount);
        uint256 allowed = token.allowance(account, spender);
        vm.prank(account);
        token.approve(spender, allowed + amount);
    }

    function pass(uint256 seconds_) internal {
        vm.warp(block.timestamp + seconds_);
        vm.roll(block.number + 1);
    }

    function signature(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @return The same signature with the other s and v, which recovers the same key.
    function twin(bytes memory signed) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s, uint8 v) = (0, 0, 0);
        assembly ("memory-safe") {
            r := mload(add(signed, 32))
            s := mload(add(signed, 64))
            v := byte(0, mload(add(signed, 96)))
        }
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        return abi.encodePacked(r, bytes32(order - uint256(s)), v == 27 ? uint8(28) : uint8(27));
    }

    function voucherClaim(uint256 key, IChannelEscrow.ChannelConfig memory config, uint128 max, uint128 total)
        internal
        view
        returns (IChannelEscrow.VoucherClaim memory)
    {
        bytes memory signed = signature(key, escrow.getVoucherDigest(escrow.getChannelId(config), max));
        return IChannelEscrow.VoucherClaim(IChannelEscrow.Voucher(config, max), signed, total);
    }

    /// @notice The same voucher as its receiver claims it.
    function compactClaim(uint256 key, IChannelEscrow.ChannelConfig memory config, uint128 max, uint128 total)
        internal
        view
        returns (IChannelEscrow.CompactClaim memory)
    {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, escrow.getVoucherDigest(escrow.getChannelId(config), max));
        bytes32 vs = bytes32(uint256(s) | (uint256(v - 27) << 255));
        return IChannelEscrow.CompactClaim(
            config.payer, config.payerAuthorizer, config.withdrawDelay, config.salt, max, total, r, vs
        );
    }

    /// @return Value in [min, max], spread over it by the remainder.
    function bound(uint256 value, uint256 min, uint256 max) internal pure returns (uint256) {
        return max - min == type(uint256).max ? value : min + (value % (max - min + 1));
    }

    function eq(uint256 given, uint256 expected, string memory what) internal pure {
        vm.assertEq(given, expected, what);
    }

    function eq(address given, address expected, string memory what) internal pure {
        vm.assertTrue(given == expected, what);
    }

    function eq(bytes32 given, bytes32 expected, string memory what) internal pure {
        vm.assertTrue(given == expected, what);
    }

    function refuse(bytes memory error_) internal {
        vm.expectRevert(error_);
    }
}
