import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { encodeAbiParameters, type Hex, keccak256, parseAbiParameters } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { PipelineError } from "#schema/errors";
import type { Config, Ports } from "../config.ts";
import { developmentKey } from "./keys.ts";
import { type Place, postgresUrl, preparePostgres } from "./postgres.ts";

/** What distinguishes a demo from a system left running. Times in ms. */
export type Pace = {
  blockSeconds: number;
  saveMs: number;
  stepMs: number;
  durability: "disk" | "process";
  challengeWindowSeconds: number;
  batchReceipts: number;
  batchAgeMsMax: number;
  epochBatches: number;
  epochAgeMsMax: number;
  /** As serving's CLOCK. */
  clock: string;
};

/** Everything a start needs, resolved: addresses of the parts, keys, files. */
export type Stack = {
  config: Config;
  folder: string;
  ports: Ports;
  pace: Pace;
  /** Null where DATABASE_URL names another server. */
  postgres: Place | null;
  databaseUrl: string;
  rpcUrl: string;
  disperserUrl: string;
  addressesFile: string;
  srsFolder: string;
  archiveFolder: string;
  statePath: string;
  modelId: Hex;
  artifactHash: Hex;
};

export const modelName = "quote";
const modelFiles = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];

/** @throws ModelFolderMissingError; PostgresUnavailableError. */
export async function resolveStack(config: Config, folder: string, ports: Ports, pace: Pace): Promise<Stack> {
  const artifactHash = await hashModel(config.modelFolder);
  const postgres = config.databaseUrl === undefined ? preparePostgres(folder) : null;
  return {
    config,
    folder,
    ports,
    pace,
    postgres,
    databaseUrl: config.databaseUrl ?? postgresUrl(postgres!, ports.postgres, "tributary"),
    rpcUrl: config.rpcUrl ?? `http://127.0.0.1:${ports.chain}`,
    disperserUrl: config.disperserUrl ?? `http://127.0.0.1:${ports.disperser}`,
    addressesFile: config.addressesFile ?? join(folder, "addresses.json"),
    srsFolder: config.srsFolder,
    archiveFolder: config.archiveFolder ?? join(folder, "archive"),
    statePath: join(folder, "chain.json"),
    modelId: modelIdOf(accountOf("model owner").address, artifactHash),
    artifactHash,
  };
}

export function accountOf(label: string) {
  return privateKeyToAccount(developmentKey(label));
}

/** As ModelRegistry derives it. */
function modelIdOf(owner: Hex, artifactHash: Hex): Hex {
  const parameters = parseAbiParameters("address owner, bytes32 artifactHash, string name");
  return keccak256(encodeAbiParameters(parameters, [owner, artifactHash, modelName]));
}

/** The artifact hash of runtime/README.md: SHA-256 over what `sha256sum` prints for the four files of the folder. @throws ModelFolderMissingError. */
export async function hashModel(folder: string): Promise<Hex> {
  const lines: string[] = [];
  for (const name of modelFiles) {
    const path = join(folder, name);
    if (!existsSync(path)) throw new ModelFolderMissingError(path);
    const hash = createHash("sha256");
    await pipeline(createReadStream(path), hash);
    lines.push(`${hash.digest("hex")}  ${name}\n`);
  }
  return `0x${createHash("sha256").update(lines.join("")).digest("hex")}`;
}

export class ModelFolderMissingError extends PipelineError {
  override readonly name = "ModelFolderMissingError";
  constructor(path: string) {
    super(
      `${path} is missing. Restore runtime/models from the repository, or set MODEL_FOLDER to a model of yours.`,
      {
        code: "model_folder_missing",
        retryable: false,
      },
    );
  }
}
