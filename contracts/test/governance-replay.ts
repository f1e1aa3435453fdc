/** Rebuilds what governance stores from its logs alone: the Governor, the DAOs of Datanets, Timelock and permissions. */
import { type Log, parseEventLogs } from "viem";
import { daCertMirrorAbi } from "#schema/abi/da-cert-mirror";
import { datanetDaoFactoryAbi } from "#schema/abi/datanet-dao-factory";
import { permissionsAbi } from "#schema/abi/permissions";
import { timelockAbi } from "#schema/abi/timelock";
import { tributaryGovernorAbi } from "#schema/abi/tributary-governor";
import { Slots } from "./replay.ts";

type TimestampOf = (blockNumber: bigint) => bigint;
type Tally = [againstVotes: bigint, forVotes: bigint, abstainVotes: bigint];

/** The Governor's and a DAO's logs alike. */
export function replayGovernor(logs: Log[]): Slots {
  const slots = new Slots();
  for (const { eventName, args } of parseEventLogs({ abi: tributaryGovernorAbi, logs })) {
    switch (eventName) {
      case "ProposalCreated":
        slots.set("proposalProposer", [args.proposalId], args.proposer);
        slots.set("proposalSnapshot", [args.proposalId], args.voteStart);
        slots.set("proposalDeadline", [args.proposalId], args.voteEnd);
        slots.set("proposalVotes", [args.proposalId], [0n, 0n, 0n]);
        break;
      case "ProposalExtended":
        slots.set("proposalDeadline", [args.proposalId], args.extendedDeadline);
        break;
      case "ProposalQueued":
        slots.set("proposalEta", [args.proposalId], args.etaSeconds);
        break;
      case "ProposalCanceled":
        slots.set("state", [args.proposalId], 2);
        break;
      case "ProposalExecuted":
        slots.set("state", [args.proposalId], 7);
        break;
      case "VoteCast":
      case "VoteCastWithParams": {
        const { proposalId, voter, support, weight } = args;
        const tally = slots.get<Tally>("proposalVotes", [proposalId], [0n, 0n, 0n]);
        slots.set("proposalVotes", [proposalId], tally.with(support, tally[support]! + weight));
        slots.set("hasVoted", [proposalId, voter], true);
        break;
      }
      case "VotingDelaySet":
        slots.set("votingDelay", [], args.newVotingDelay);
        break;
      case "VotingPeriodSet":
        slots.set("votingPeriod", [], args.newVotingPeriod);
        break;
      case "ProposalThresholdSet":
        slots.set("proposalThreshold", [], args.newProposalThreshold);
        break;
      case "QuorumNumeratorUpdated":
        slots.set("quorumNumerator", [], args.newQuorumNumerator);
        break;
      case "LateQuorumVoteExtensionSet":
        slots.set("lateQuorumVoteExtension", [], Number(args.newVoteExtension));
        break;
      case "TimelockChange":
        slots.set("timelock", [], args.newTimelock);
        break;
      case "EIP712DomainChanged":
        break; // Never happens: the domain is fixed.
    }
  }
  return slots;
}

/** Timestamp that OpenZeppelin keeps for an operation that is done. */
const done = 1n;

export function replayTimelock(logs: Log[], timestampOf: TimestampOf): Slots {
  const slots = new Slots();
  for (const { eventName, args, blockNumber } of parseEventLogs({ abi: timelockAbi, logs })) {
    switch (eventName) {
      case "CallScheduled":
        slots.set("getTimestamp", [args.id], timestampOf(blockNumber) + args.delay);
        break;
      case "CallExecuted":
        slots.set("getTimestamp", [args.id], done);
        break;
      case "Cancelled":
        slots.set("getTimestamp", [args.id], 0n);
        break;
      case "MinDelayChange":
        slots.set("getMinDelay", [], args.newDuration);
        break;
      case "RoleGranted":
        slots.set("hasRole", [args.role, args.account], true);
        break;
      case "RoleRevoked":
        slots.set("hasRole", [args.role, args.account], false);
        break;
      case "RoleAdminChanged":
        slots.set("getRoleAdmin", [args.role], args.newAdminRole);
        break;
      case "CallSalt":
        break; // Part of the operation's id.
    }
  }
  return slots;
}

export function replayPermissions(logs: Log[]): Slots {
  const slots = new Slots();
  for (const { eventName, args } of parseEventLogs({ abi: permissionsAbi, logs })) {
    switch (eventName) {
      case "RoleGranted":
        slots.set("hasRole", [args.roleId, args.account], [true, args.delay]);
        break;
      case "RoleRevoked":
        slots.set("hasRole", [args.roleId, args.account], [false, 0]);
        break;
      case "RoleAdminChanged":
        slots.set("getRoleAdmin", [args.roleId], args.admin);
        break;
      case "RoleGuardianChanged":
        slots.set("getRoleGuardian", [args.roleId], args.guardian);
        break;
      case "RoleGrantDelayChanged":
        slots.set("getRoleGrantDelay", [args.roleId], args.delay);
        break;
      case "TargetFunctionRoleUpdated":
        slots.set("getTargetFunctionRole", [args.target, args.selector], args.roleId);
        break;
      case "TargetClosed":
        slots.set("isTargetClosed", [args.target], args.closed);
        break;
      case "TargetAdminDelayUpdated":
        slots.set("getTargetAdminDelay", [args.target], args.delay);
        break;
      case "OperationScheduled":
        slots.set("getSchedule", [args.operationId], args.schedule);
        slots.set("getNonce", [args.operationId], args.nonce);
        break;
      case "OperationExecuted":
      case "OperationCanceled":
        slots.set("getSchedule", [args.operationId], 0);
        slots.set("getNonce", [args.operationId], args.nonce);
        break;
      case "RoleLabel":
        break; // Lives in the log alone.
    }
  }
  return slots;
}

export function replayDatanetDaoFactory(logs: Log[]): Slots {
  const slots = new Slots();
  for (const { args } of parseEventLogs({ abi: datanetDaoFactoryAbi, logs })) {
    slots.set("daoOf", [args.settings], args.dao);
  }
  return slots;
}

export function replayDaCertMirror(logs: Log[]): Slots {
  const slots = new Slots();
  for (const { args } of parseEventLogs({ abi: daCertMirrorAbi, logs })) {
    slots.set("verdictOf", [args.daRef], args.status);
  }
  return slots;
}
