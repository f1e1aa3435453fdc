import { z } from "zod";
import { deploySchema, sourceChecksum } from "../schema/checksum.ts";
import { readDeployment } from "../schema/deployment.ts";

const environment = z
  .object({
    DATABASE_URL: z.string().min(1),
    RPC_URL: z.url(),
    ADDRESSES_FILE: z.string().min(1),
    INDEXER_PORT: z.coerce.number().int().positive().max(65_535).default(42_069),
    /** Schema of Ponder's tables; default: named by source checksum and deployment. */
    DATABASE_SCHEMA: z.string().min(1).max(45).optional(),
    /** First block to index; default: the deployment's. */
    START_BLOCK: z.coerce.number().int().nonnegative().optional(),
    /** How often the head is asked for, in ms. */
    POLLING_INTERVAL_MS: z.coerce.number().int().min(50).max(60_000).default(250),
    INDEXER_LOG_LEVEL: z.enum(["error", "warn", "info", "debug", "trace"]).default("warn"),
  })
  .transform((env) => {
    const deployment = readDeployment(env.ADDRESSES_FILE);
    const startBlock = env.START_BLOCK ?? deployment.deployBlock;
    return Object.freeze({
      databaseUrl: env.DATABASE_URL,
      rpcUrl: env.RPC_URL,
      port: env.INDEXER_PORT,
      pollingIntervalMs: env.POLLING_INTERVAL_MS,
      logLevel: env.INDEXER_LOG_LEVEL,
      deployment,
      startBlock,
      sourceChecksum: sourceChecksum(),
      databaseSchema: env.DATABASE_SCHEMA ?? deploySchema(deployment, startBlock),
    });
  });

export const config = environment.parse(process.env);
