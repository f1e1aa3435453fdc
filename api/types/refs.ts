import type { Hex } from "viem";
import { builder } from "../builder.ts";
import type {
  BatchRow,
  CandidateRow,
  ChunkRow,
  ClaimRow,
  ContributionRow,
  DatanetRow,
  DuplicateRow,
  EntryRow,
  EpochRow,
  FaithfulnessRow,
  InfluenceRow,
  ModelRow,
  ReceiptRow,
  ReputationRow,
  RewardRow,
  ScoreRow,
  SlashProposalRow,
  SpanCreditRow,
  SpanRow,
  StandingRow,
  TrainingRow,
  VoteRow,
} from "../loaders/rows.ts";

/** Every object type by the row behind it, declared before any is implemented: they refer to each other. */
export const Claim = builder.objectRef<ClaimRow>("Claim");
export const RewardLeaf = builder.objectRef<RewardRow>("RewardLeaf");
export const Epoch = builder.objectRef<EpochRow>("Epoch");
export const Batch = builder.objectRef<BatchRow>("Batch");
export const Receipt = builder.objectRef<ReceiptRow>("Receipt");
export const Candidate = builder.objectRef<CandidateRow>("Candidate");
export const Score = builder.objectRef<ScoreRow>("Score");
export const Influence = builder.objectRef<InfluenceRow>("Influence");
export const Duplicate = builder.objectRef<DuplicateRow>("Duplicate");
export const Reputation = builder.objectRef<ReputationRow>("Reputation");
export const Standing = builder.objectRef<StandingRow>("Standing");
export const SlashProposal = builder.objectRef<SlashProposalRow>("SlashProposal");
export const Span = builder.objectRef<SpanRow>("Span");
export const SpanCredit = builder.objectRef<SpanCreditRow>("SpanCredit");
export const Entry = builder.objectRef<EntryRow>("Entry");
export const Chunk = builder.objectRef<ChunkRow>("Chunk");
export const Contribution = builder.objectRef<ContributionRow>("Contribution");
export const Vote = builder.objectRef<VoteRow>("Vote");
export const Datanet = builder.objectRef<DatanetRow>("Datanet");
/** How true a model's attribution is: one figure of the report. */
export const Faithfulness = builder.objectRef<FaithfulnessRow>("Faithfulness");
export const Model = builder.objectRef<ModelRow>("Model");
/** What an adapter was trained on, as its owner published it. */
export const Training = builder.objectRef<TrainingRow>("Training");
/** Anyone who may be paid: contributor, Datanet owner, validator, model owner. */
export const Contributor = builder.objectRef<{ account: Hex }>("Contributor");
