import { join, resolve } from "node:path";
import { z } from "zod";

/** Root of the checkout. */
export const root = resolve(import.meta.dirname, "..");

const port = (fallback: number) => z.coerce.number().int().min(1).max(65_535).default(fallback);

const key = z.custom<`0x${string}`>(
  (value) => /^0x[0-9a-fA-F]{64}$/.test(String(value)),
  "0x and 64 hex digits",
);

const environment = z
  .object({
    /** Data folder: database, chain, blobs, addresses, recorded processes. */
    TRIBUTARY_FOLDER: z.string().min(1).default(join(root, ".tributary")),
    /** Set to use a server of yours; otherwise the embedded one starts. */
    DATABASE_URL: z.url().optional(),
    RPC_URL: z.url().optional(),
    ADDRESSES_FILE: z.string().min(1).optional(),
    DISPERSER_URL: z.url().optional(),
    SRS_FOLDER: z.string().min(1).optional(),
    ARCHIVE_FOLDER: z.string().min(1).optional(),
    /** Owns what `train` registers, and pays for its payload; on a development chain accounts of ours do. */
    TRAINER_KEY: key.optional(),
    EIGENDA_KEY: key.optional(),
    MODEL_FOLDER: z.string().min(1).default(join(root, "runtime/models/quote")),
    POSTGRES_PORT: port(54_329),
    RPC_PORT: port(8545),
    DISPERSER_PORT: port(32_005),
    INDEXER_PORT: port(42_069),
    ENGINE_METRICS_PORT: port(9464),
    SERVING_PORT: port(8000),
    SETTLEMENT_METRICS_PORT: port(9465),
    API_PORT: port(4000),
    /** Time between blocks of the development chain, in seconds. */
    BLOCK_SECONDS: z.coerce.number().min(0.1).max(60).default(2),
    ESTIMATOR: z.string().optional(),
    INFLUENCE_METHOD: z.string().optional(),
    ENGINE_DEVICE: z.string().optional(),
    PATH: z.string().default(""),
    HOME: z.string().default(""),
    TMPDIR: z.string().optional(),
  })
  .transform((env) =>
    Object.freeze({
      folder: resolve(env.TRIBUTARY_FOLDER),
      databaseUrl: env.DATABASE_URL,
      rpcUrl: env.RPC_URL,
      addressesFile: env.ADDRESSES_FILE,
      disperserUrl: env.DISPERSER_URL,
      srsFolder: env.SRS_FOLDER ?? join(resolve(env.TRIBUTARY_FOLDER), "srs"),
      archiveFolder: env.ARCHIVE_FOLDER,
      trainerKey: env.TRAINER_KEY,
      eigendaKey: env.EIGENDA_KEY,
      modelFolder: resolve(env.MODEL_FOLDER),
      blockSeconds: env.BLOCK_SECONDS,
      ports: Object.freeze({
        postgres: env.POSTGRES_PORT,
        chain: env.RPC_PORT,
        disperser: env.DISPERSER_PORT,
        indexer: env.INDEXER_PORT,
        engine: env.ENGINE_METRICS_PORT,
        serving: env.SERVING_PORT,
        settlement: env.SETTLEMENT_METRICS_PORT,
        api: env.API_PORT,
      }),
      /** How the engine measures: passed on as it is, and checked there. */
      measuring: Object.freeze(
        Object.fromEntries(
          (["ESTIMATOR", "INFLUENCE_METHOD", "ENGINE_DEVICE"] as const).flatMap((name) => {
            const value = env[name];
            return value === undefined ? [] : [[name, value] as const];
          }),
        ),
      ),
      /** What every child process gets of our environment; the rest it gets by name. */
      inherited: Object.freeze({
        PATH: env.PATH,
        HOME: env.HOME,
        ...(env.TMPDIR === undefined ? {} : { TMPDIR: env.TMPDIR }),
      }),
    }),
  );

export type Config = z.output<typeof environment>;
export type Ports = Config["ports"];

/** The terminal's environment, read once. @throws ZodError naming each variable that is wrong. */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  return environment.parse(env);
}
