/** Rebuilds the storage of the market of models from its logs alone. */
import {
  encodeAbiParameters,
  getAbiItem,
  type Hex,
  keccak256,
  type Log,
  parseEventLogs,
  zeroAddress,
} from "viem";
import { curveFactoryAbi } from "#schema/abi/curve-factory";
import { modelCurveAbi } from "#schema/abi/model-curve";
import { modelProposalsAbi } from "#schema/abi/model-proposals";
import { Slots } from "./replay.ts";

type Proposal = readonly [
  proposer: Hex,
  voteEnd: bigint,
  state: number,
  forW: bigint,
  againstW: bigint,
  specId: Hex,
  snapshot: number,
];
type Report = readonly [
  modelId: Hex,
  reporter: Hex,
  rulingEnd: bigint,
  state: number,
  snapshotBlock: number,
  evidenceHash: Hex,
];

const specInput = getAbiItem({ abi: modelProposalsAbi, name: "propose" }).inputs[0];

export function replayModelProposals(logs: Log[], timestampOf: (blockNumber: bigint) => bigint): Slots {
  const slots = new Slots();
  const proposalOf = (id: bigint) => slots.get("proposalOf", [id], [] as unknown as Proposal);
  const reportOf = (id: bigint) => slots.get("reportOf", [id], [] as unknown as Report);
  for (const { eventName, args, blockNumber } of parseEventLogs({ abi: modelProposalsAbi, logs })) {
    switch (eventName) {
      case "ModelProposed": {
        const specId = keccak256(encodeAbiParameters([specInput], [args.spec]));
        const snapshot = Number(timestampOf(blockNumber)) - 1;
        const { proposalId, proposer, voteEnd } = args;
        slots.set("proposalOf", [proposalId], [proposer, voteEnd, 1, 0n, 0n, specId, snapshot]);
        slots.set("proposalCount", [], proposalId);
        break;
      }
      case "ModelProposalVote":
        slots.set("hasVoted", [args.proposalId, args.voter], true);
        slots.set(
          "proposalOf",
          [args.proposalId],
          proposalOf(args.proposalId).with(3, args.forW).with(4, args.againstW),
        );
        break;
      case "ModelProposalResolved":
        slots.set("proposalOf", [args.proposalId], proposalOf(args.proposalId).with(2, args.state));
        break;
      case "ModelDeployed":
        slots.set("proposalOf", [args.proposalId], proposalOf(args.proposalId).with(2, 5));
        break;
      case "ModelReported": {
        const { reportId, modelId, reporter, rulingEnd, evidenceHash } = args;
        const report = [modelId, reporter, rulingEnd, 1, Number(blockNumber) - 1, evidenceHash];
        slots.set("reportOf", [reportId], report);
        slots.set("reportCount", [], reportId);
        break;
      }
      case "ModelReportResolved":
        slots.set("reportOf", [args.reportId], reportOf(args.reportId).with(3, args.state));
        break;
      case "ModelPenalised":
        slots.set("isPenalised", [args.reportId, args.account], true);
        break;
      case "BondCredited":
        slots.set("bondCredit", [args.to], args.newCredit);
        break;
      case "BondWithdrawn":
        slots.set("bondCredit", [args.to], 0n);
        break;
    }
  }
  return slots;
}

export function replayCurveFactory(logs: Log[]): Slots {
  const slots = new Slots();
  for (const { args } of parseEventLogs({ abi: curveFactoryAbi, logs, eventName: "CurveCreated" })) {
    slots.set("curveOf", [args.modelId], args.curve);
  }
  return slots;
}

export function replayModelCurve(logs: Log[]): Slots {
  const slots = new Slots();
  for (const { eventName, args } of parseEventLogs({ abi: modelCurveAbi, logs })) {
    switch (eventName) {
      case "Bought":
      case "Sold":
        slots.set("totalSupply", [], args.supply);
        slots.set("reserve", [], args.reserve);
        slots.add("fees", [], args.fee);
        break;
      case "FeesCollected":
        slots.add("fees", [], -args.amount);
        break;
      case "Transfer":
        if (args.from !== zeroAddress) slots.add("balanceOf", [args.from], -args.value);
        if (args.to !== zeroAddress) slots.add("balanceOf", [args.to], args.value);
        break;
    }
  }
  return slots;
}
