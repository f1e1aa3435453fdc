import { z } from "zod";
import { readDeployment } from "#schema/deployment";
import { candidatesMax } from "#settlement/blob/disclosure";
import { playersMaxInContext, receiptsPerBatchMax } from "./constants.ts";

const bytes32 = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/, "32 bytes as 0x-prefixed hex")
  .transform((value) => value.toLowerCase() as `0x${string}`);
const count = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

/** `system`, or `fixed:<unix seconds>`: an answer is then served at that time plus its number, the same in every run. */
const clock = z.union([
  z.literal("system").transform(() => ({ kind: "system" as const })),
  z
    .string()
    .regex(/^fixed:\d{1,12}$/)
    .transform((value) => ({ kind: "fixed" as const, baseSeconds: BigInt(value.slice("fixed:".length)) })),
]);

const names = z.string().transform((value) =>
  value
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== ""),
);

const environment = z
  .object({
    DATABASE_URL: z.string().min(1),
    RPC_URL: z.url(),
    ADDRESSES_FILE: z.string().min(1),
    DISPERSER_URL: z.url(),
    SRS_FOLDER: z.string().min(1),
    EIGENDA_KEY: bytes32,
    /** 0 lets the system choose; the ready line says which. */
    SERVING_PORT: count(0, 65_535).default(8000),
    NODE_KEY: bytes32,
    MODEL_FOLDER: z.string().min(1),
    MODEL_ID: bytes32,
    /** Other names of the model, comma-separated. */
    MODEL_ALIASES: names.default([]),
    /** Ends of the names of matrices that adapters may change, comma-separated; the engine must have the same. */
    ADAPTABLE_MODULES: names.default([]),
    /** Holds adapters too large for a payload, each in a folder named by its hash. */
    ADAPTERS_FOLDER: z.string().min(1).optional(),
    BATCH_RECEIPTS: count(1, receiptsPerBatchMax).default(8),
    /**
     * 0 lets a batch wait until it is full. The shortest withdrawal ChannelEscrow allows takes 15 minutes: a third of
     * it at most, so that vouchers are claimed before their channel can be emptied.
     */
    BATCH_AGE_MS_MAX: count(0, 300_000).default(60_000),
    RETRIEVAL_CANDIDATES: count(0, candidatesMax).default(8),
    RETRIEVAL_CONTEXT_COUNT: count(0, playersMaxInContext).default(4),
    CLOCK: clock.default({ kind: "system" }),
  })
  .transform((env) => {
    const deployment = readDeployment(env.ADDRESSES_FILE);
    return Object.freeze({
      databaseUrl: env.DATABASE_URL,
      rpcUrl: env.RPC_URL,
      chainId: BigInt(deployment.chainId),
      contracts: deployment.contracts,
      disperserUrl: env.DISPERSER_URL,
      srsFolder: env.SRS_FOLDER,
      eigendaKey: env.EIGENDA_KEY,
      port: env.SERVING_PORT,
      nodeKey: env.NODE_KEY,
      modelFolder: env.MODEL_FOLDER,
      modelId: env.MODEL_ID,
      modelAliases: env.MODEL_ALIASES,
      adaptableModules: env.ADAPTABLE_MODULES,
      adaptersFolder: env.ADAPTERS_FOLDER ?? null,
      batchReceipts: env.BATCH_RECEIPTS,
      batchAgeMsMax: env.BATCH_AGE_MS_MAX,
      candidateCount: env.RETRIEVAL_CANDIDATES,
      contextCount: env.RETRIEVAL_CONTEXT_COUNT,
      clock: env.CLOCK,
    });
  });

export type Config = z.output<typeof environment>;

/** The node's environment, read once. @throws ZodError naming each variable that is missing or wrong. */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  return environment.parse(env);
}
