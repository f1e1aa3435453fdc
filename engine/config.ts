import { z } from "zod";
import { devices } from "#runtime/inference/device";
import { readDeployment } from "#schema/deployment";
import { influenceMethodFrom } from "./adapter/methods.ts";
import { archivePlaces, archiveSettings, checkArchiveSettings } from "./archive-stores.ts";
import { dualRecordsMax } from "./influence/efim.ts";
import { type Estimator, estimators } from "./score/estimate.ts";

const count = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

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
    /** Keeps every blob the chain names beyond DA's 14 days, and serves it where the relays no longer do. Unset: none. */
    ...archiveSettings,
    /** Time between two checks of every copy. */
    ARCHIVE_SWEEP_MS: count(1_000, 604_800_000).default(86_400_000),
    MODEL_FOLDER: z.string().min(1),
    /** Threads that replay answers; each loads the model. As many as cores and memory allow, if not given. */
    ENGINE_WORKERS: count(1, 64).optional(),
    /** What computes the gradients of training records: part of the method. Another than `cpu` in a process of its own. */
    ENGINE_DEVICE: z.enum(devices).default("cpu"),
    /** How an answer is divided over its passages; named in the method. */
    ESTIMATOR: z.enum(Object.keys(estimators) as [Estimator, ...Estimator[]]).default("shapley"),
    /** Holds what can be made again: files and gradient stores of adapters. */
    ENGINE_FOLDER: z.string().min(1),
    /** Holds adapters too large for a payload, each in a folder named by its hash. */
    ADAPTERS_FOLDER: z.string().min(1).optional(),
    /** Ends of the names of matrices that adapters may change, comma-separated; serving must have the same. */
    ADAPTABLE_MODULES: names.default([]),
    /** How influence of training records is measured: part of the method. */
    INFLUENCE_METHOD: z.string().default("efim-dual"),
    /** Most records that the dual form is solved for; of more the primal form is. Part of the method. */
    DUAL_RECORDS_MAX: count(1, dualRecordsMax).default(dualRecordsMax),
    /** 0 lets the system choose; the ready line says which. */
    METRICS_PORT: count(0, 65_535).default(9_101),
  })
  .superRefine(checkArchiveSettings)
  .refine(({ ENGINE_DEVICE: device, ADAPTABLE_MODULES: modules }) => device === "cpu" || modules.length > 0, {
    path: ["ENGINE_DEVICE"],
    error: "Only gradients of adapters are computed there: name what adapters change in ADAPTABLE_MODULES",
  })
  .transform((env) => {
    const deployment = readDeployment(env.ADDRESSES_FILE);
    return Object.freeze({
      databaseUrl: env.DATABASE_URL,
      rpcUrl: env.RPC_URL,
      chainId: BigInt(deployment.chainId),
      deployBlock: BigInt(deployment.deployBlock),
      contracts: deployment.contracts,
      disperserUrl: env.DISPERSER_URL,
      srsFolder: env.SRS_FOLDER,
      archive: archivePlaces(env),
      archiveSweepMs: env.ARCHIVE_SWEEP_MS,
      modelFolder: env.MODEL_FOLDER,
      workers: env.ENGINE_WORKERS ?? null,
      device: env.ENGINE_DEVICE,
      estimator: env.ESTIMATOR,
      engineFolder: env.ENGINE_FOLDER,
      adaptersFolder: env.ADAPTERS_FOLDER ?? null,
      adaptableModules: env.ADAPTABLE_MODULES,
      influenceMethod: influenceMethodFrom(env.INFLUENCE_METHOD),
      dualMax: env.DUAL_RECORDS_MAX,
      metricsPort: env.METRICS_PORT,
    });
  });

export type Config = z.output<typeof environment>;

/** The engine's environment, read once. @throws ZodError naming each variable that is missing or wrong; InfluenceMethodError. */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  return environment.parse(env);
}
