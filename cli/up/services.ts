import { connect } from "node:net";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { root } from "../config.ts";
import { developmentKey } from "./keys.ts";
import { accountOf, modelName, type Stack } from "./stack.ts";
import type { Service } from "./supervisor.ts";

/** Matrices of the base that adapters may change; each costs every answer a little, adapted or not. */
const adaptableModules = ["q_proj", "v_proj"];

/** The EigenDA development disperser and relay: blobs on this machine. */
export function disperserService({ config, folder, ports, pace }: Stack): Service {
  return {
    ...node(config, "disperser", "eigenda/src/dev/main.ts"),
    args: () => [
      ...[join(root, "eigenda/src/dev/main.ts"), "--data-dir", join(folder, "eigenda")],
      ...["--port", String(ports.disperser), "--step-ms", String(pace.stepMs)],
    ],
    isReady: () => listens(ports.disperser),
  };
}

/** The stages, in the order of the chain of work. Each runs alone in production with the same environment. */
export function stageServices(stack: Stack): Service[] {
  const { config, ports, pace } = stack;
  const shared = {
    DATABASE_URL: stack.databaseUrl,
    RPC_URL: stack.rpcUrl,
    ADDRESSES_FILE: stack.addressesFile,
  };
  const blobs = { DISPERSER_URL: stack.disperserUrl, SRS_FOLDER: stack.srsFolder };
  const adapters = {
    ADAPTABLE_MODULES: adaptableModules.join(),
    ADAPTERS_FOLDER: join(stack.folder, "adapters"),
  };
  const eigendaKey = { EIGENDA_KEY: developmentKey("eigenda") };
  return [
    {
      ...node(config, "indexer", "indexer/start.ts", { ...shared, INDEXER_PORT: String(ports.indexer) }),
      stopSignal: "SIGINT", // On SIGTERM Ponder leaves its lock behind.
      isReady: () => isOk(`http://127.0.0.1:${ports.indexer}/ready`),
    },
    {
      ...node(config, "engine", "engine/main.ts", {
        ...shared,
        ...blobs,
        ARCHIVE_FOLDER: stack.archiveFolder,
        ENGINE_WORKERS: String(Math.max(1, availableParallelism() - 1)),
        MODEL_FOLDER: config.modelFolder,
        ...adapters,
        ...config.measuring,
        ENGINE_FOLDER: join(stack.folder, "engine"),
        METRICS_PORT: String(ports.engine),
      }),
      isReady: () => isOk(`http://127.0.0.1:${ports.engine}/metrics`),
    },
    {
      ...node(config, "serving", "serving/main.ts", {
        ...shared,
        ...blobs,
        ...eigendaKey,
        SERVING_PORT: String(ports.serving),
        NODE_KEY: developmentKey("node"),
        MODEL_FOLDER: config.modelFolder,
        MODEL_ID: stack.modelId,
        MODEL_ALIASES: modelName,
        ...adapters,
        BATCH_RECEIPTS: String(pace.batchReceipts),
        BATCH_AGE_MS_MAX: String(pace.batchAgeMsMax),
        CLOCK: pace.clock,
      }),
      isReady: () => isOk(`http://127.0.0.1:${ports.serving}/metrics`),
    },
    {
      ...node(config, "settlement", "settlement/main.ts", {
        ...shared,
        ...blobs,
        ...eigendaKey,
        POSTER_KEY: developmentKey("poster"),
        EPOCH_BATCHES: String(pace.epochBatches),
        EPOCH_AGE_MS_MAX: String(pace.epochAgeMsMax),
        METRICS_PORT: String(ports.settlement),
      }),
      isReady: () => isOk(`http://127.0.0.1:${ports.settlement}/metrics`),
    },
    {
      ...node(config, "api", "api/main.ts", { ...shared, API_PORT: String(ports.api) }),
      isReady: () => isOk(`http://127.0.0.1:${ports.api}/metrics`),
    },
  ];
}

/** What the log says at the end of a start. */
export function addresses({ ports, rpcUrl, databaseUrl }: Stack): [string, string][] {
  const at = (port: number, path: string) => `http://127.0.0.1:${port}${path}`;
  return [
    ["GraphiQL", at(ports.api, "/graphql")],
    ["OpenAI base URL", at(ports.serving, "/v1")],
    [
      "metrics",
      [ports.serving, ports.engine, ports.settlement, ports.api]
        .map((port) => at(port, "/metrics"))
        .join("  "),
    ],
    ["RPC", rpcUrl],
    ["database", databaseUrl.replace(/:[^:@/]+@/, ":…@")],
    ["model", modelName],
    ["node", accountOf("node").address],
  ];
}

function node(
  config: Stack["config"],
  name: string,
  script: string,
  env: Record<string, string> = {},
): Omit<Service, "isReady"> {
  return {
    name,
    command: process.execPath,
    args: () => [join(root, script)],
    env: { ...config.inherited, ...env },
    cwd: root,
  };
}

/** Time one look at a service may take, in ms. */
const lookMsMax = 2_000;

async function isOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(lookMsMax) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    // Not listening yet, or too busy to answer: not ready. The caller's deadline tells the two from a failure.
    return false;
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, timeout: lookMsMax });
    const end = (isListening: boolean) => {
      socket.destroy();
      resolve(isListening);
    };
    socket
      .once("connect", () => end(true))
      .once("error", () => end(false))
      .once("timeout", () => end(false));
  });
}
