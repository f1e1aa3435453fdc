import type { Hex } from "viem";
import { z } from "zod";

const key = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/, "not a private key")
  .transform((value) => value as Hex);

const environment = z.object({
  DATABASE_URL: z.string().min(1),
  RPC_URL: z.url(),
  ADDRESSES_FILE: z.string().min(1),
  METRICS_PORT: z.coerce.number().int().min(0).max(65_535).default(0),
  EPOCH_BATCHES: z.coerce.number().int().min(1).max(1_000).default(2),
  EPOCH_AGE_MS_MAX: z.coerce.number().int().min(1).default(3_600_000),
  FOLLOW_ONLY: z.enum(["0", "1"]).default("0"),
  POLL_MS: z.coerce.number().int().min(10).max(60_000).default(500),
  /** A follower reads the poster's payloads with them where it comes to another result; it can do without. */
  DISPERSER_URL: z.url().optional(),
  SRS_FOLDER: z.string().min(1).optional(),
});

/** What a proposer needs besides. With FOLLOW_ONLY=1 nothing is posted, so no keys are read. */
const posting = z.object({
  POSTER_KEY: key,
  EIGENDA_KEY: key,
  DISPERSER_URL: z.url(),
  SRS_FOLDER: z.string().min(1),
});

/** Ages and intervals in ms. `posting` is null for a follower: it recomputes, compares and never posts. */
export type Config = {
  databaseUrl: string;
  rpcUrl: string;
  addressesFile: string;
  metricsPort: number;
  epochBatches: number;
  epochAgeMsMax: number;
  pollMs: number;
  relay: { disperserUrl: string; srsFolder: string } | null;
  posting: { posterKey: Hex; eigendaKey: Hex; disperserUrl: string; srsFolder: string } | null;
};

/** Reads the environment once. @throws ZodError naming each variable that is missing or malformed. */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const e = environment.parse(env);
  const p = e.FOLLOW_ONLY === "1" ? null : posting.parse(env);
  return Object.freeze({
    databaseUrl: e.DATABASE_URL,
    rpcUrl: e.RPC_URL,
    addressesFile: e.ADDRESSES_FILE,
    metricsPort: e.METRICS_PORT,
    epochBatches: e.EPOCH_BATCHES,
    epochAgeMsMax: e.EPOCH_AGE_MS_MAX,
    pollMs: e.POLL_MS,
    relay:
      e.DISPERSER_URL && e.SRS_FOLDER ? { disperserUrl: e.DISPERSER_URL, srsFolder: e.SRS_FOLDER } : null,
    posting: p && {
      posterKey: p.POSTER_KEY,
      eigendaKey: p.EIGENDA_KEY,
      disperserUrl: p.DISPERSER_URL,
      srsFolder: p.SRS_FOLDER,
    },
  });
}
