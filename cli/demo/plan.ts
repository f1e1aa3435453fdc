import { type Limits, limits } from "./documents.ts";

/** What a demo is about. Kept in its folder: another plan starts afresh. */
export type Plan = {
  seed: number;
  questionCount: number;
  /** Receipts of one batch, batches of one epoch. */
  batchReceipts: number;
  epochBatches: number;
  limits: Limits;
  /** Whether an adapter is trained, and asked part of the questions. */
  hasAdapter: boolean;
  /** Null for the installed packages' documentation. */
  datanetFolder: string | null;
};

/** Options of the terminal a plan is made of, as `parseArgs` takes them. */
export const planOptions = {
  seed: { type: "string", default: "7" },
  questions: { type: "string", default: "32" },
  batch: { type: "string", default: "4" },
  epoch: { type: "string", default: "4" },
  contributions: { type: "string", default: String(limits.submissions) },
  documents: { type: "string", default: String(limits.documentsPerSubmission) },
  chunks: { type: "string", default: String(limits.chunksPerDocument) },
  datanet: { type: "string" },
  "no-adapter": { type: "boolean", default: false },
} as const;

type Values = Record<Exclude<keyof typeof planOptions, "datanet" | "no-adapter">, string> & {
  datanet?: string | undefined;
  "no-adapter": boolean;
};

/** At least two of each: the second epoch carries on the first, and something is retracted within an epoch. */
const epochsMin = 2;
const epochBatchesMin = 2;

/** @returns Null where a number is no count, or the questions do not fill at least two epochs. */
export function readPlan(values: Values): Plan | null {
  const { seed, questions, batch, epoch, contributions, documents, chunks, datanet } = values;
  const counts = [questions, batch, epoch, contributions, documents, chunks].map(Number);
  if (
    !Number.isSafeInteger(Number(seed)) ||
    !counts.every((count) => Number.isSafeInteger(count) && count > 0)
  )
    return null;
  const epochQuestions = Number(batch) * Number(epoch);
  if (Number(epoch) < epochBatchesMin || Number(questions) % epochQuestions !== 0) return null;
  if (Number(questions) < epochsMin * epochQuestions) return null;
  return {
    seed: Number(seed),
    questionCount: Number(questions),
    batchReceipts: Number(batch),
    epochBatches: Number(epoch),
    limits: {
      ...limits,
      submissions: Number(contributions),
      documentsPerSubmission: Number(documents),
      chunksPerDocument: Number(chunks),
    },
    hasAdapter: !values["no-adapter"],
    datanetFolder: datanet ?? null,
  };
}
