import type { PgBoss } from "pg-boss";
import type { Hex, PublicClient } from "viem";
import type { Drizzle } from "#schema/database";
import type { Log } from "#schema/log";
import type { Config } from "../config.ts";
import type { GradientDevice } from "../device/device.ts";
import type { BlobReader } from "../fetch/payload.ts";
import type { Pool } from "../pool.ts";
import type { Handlers } from "../queue/run-jobs.ts";
import { buildAdapterStore } from "./build-store.ts";
import { fetchTraining } from "./fetch-training.ts";
import { type AdapterOpener, createAdapterOpener } from "./store.ts";

type Parts = {
  db: Drizzle;
  boss: PgBoss;
  pool: Pool;
  device: GradientDevice | null;
  reader: BlobReader;
  client: PublicClient;
  methodHash: Hex;
  log: Log;
};

/** The engine's work on adapters: fetch what they were trained on, store the gradients, answer for their records. */
export type Adapters = {
  fetchTraining: Handlers["fetch-training"];
  buildStore: Handlers["build-store"];
  open: AdapterOpener;
};

export function createAdapters(parts: Parts, config: Config): Adapters {
  const { db, boss, pool, device, reader, client, methodHash, log } = parts;
  const { engineFolder, adaptersFolder, adaptableModules, influenceMethod: method, dualMax } = config;
  const places = { engineFolder, adaptersFolder };
  const open = createAdapterOpener({ db, pool, device, places, method, methodHash, dualMax });
  return {
    open,
    fetchTraining: (task) =>
      fetchTraining({ db, boss, reader, client, pool, places, adaptableModules, method, methodHash }, task),
    buildStore: (task) =>
      buildAdapterStore(
        {
          ...{ db, pool, open, methodHash },
          onProgress: (modelId, progress) => log.info("store", { modelId, ...progress }),
        },
        task,
      ),
  };
}
