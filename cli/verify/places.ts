import { join } from "node:path";
import { BaseError, createPublicClient, HttpRequestError, http, type PublicClient, TimeoutError } from "viem";
import { Archive, developmentSrs, directoryStore, RelayClient } from "#eigenda/index";
import { readDeployment } from "#schema/deployment";
import { urlFrom } from "../arguments.ts";
import { readRunningConfig } from "../running.ts";
import { UnansweredError } from "./link.ts";
import { chainSources, type Sources } from "./sources.ts";

/** Options of the commands that read chain and DA alone, and what they tell of them. */
export const placeOptions = {
  rpc: { type: "string" },
  disperser: { type: "string" },
  archive: { type: "string" },
  addresses: { type: "string" },
  srs: { type: "string" },
} as const;

export const placesHelp = `  --rpc <url>           chain (RPC_URL)
  --disperser <url>     EigenDA relay (DISPERSER_URL)
  --archive <folder>    asked for the blobs that no relay serves any more (ARCHIVE_FOLDER)
  --addresses <file>    contract addresses (ADDRESSES_FILE)
  --srs <folder>        cache of the structured reference string (SRS_FOLDER)`;

/** Where chain and DA are had. */
export type Places = Record<"rpc" | "disperser" | "archive" | "addresses" | "srs", string>;

export function placesOf(given: Partial<Record<keyof Places, string | undefined>>): Places {
  const config = readRunningConfig();
  return {
    rpc: urlFrom(given.rpc ?? config.rpcUrl ?? `http://127.0.0.1:${config.ports.chain}`, "rpc"),
    disperser: urlFrom(
      given.disperser ?? config.disperserUrl ?? `http://127.0.0.1:${config.ports.disperser}`,
      "disperser",
    ),
    archive: given.archive ?? config.archiveFolder ?? join(config.folder, "archive"),
    addresses: given.addresses ?? config.addressesFile ?? join(config.folder, "addresses.json"),
    srs: given.srs ?? config.srsFolder,
  };
}

export type OpenedSources = AsyncDisposable & { sources: Sources; client: PublicClient };

/** Chain and DA at these places: the relay is asked first, then the archive. */
export async function openSources(places: Places): Promise<OpenedSources> {
  const srs = await developmentSrs({ folder: places.srs });
  await using parts = new AsyncDisposableStack();
  const relay = parts.use(new RelayClient({ relayUrl: () => places.disperser, srs }));
  const archive = parts.use(new Archive({ stores: [directoryStore(places.archive)], srs }));
  const client = createPublicClient({ transport: http(places.rpc), cacheTime: 0 });
  const sources = chainSources(client, readDeployment(places.addresses), [relay, archive], srs);
  const owned = parts.move();
  return { sources, client, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** With the remedy, where it is a server that does not answer. */
export function reasonOf(error: unknown, { rpc, disperser }: Pick<Places, "rpc" | "disperser">): string {
  if (!(error instanceof Error)) return String(error);
  const [first = error.name] = error.message.split("\n");
  if (error instanceof BaseError && error.walk(isUnanswered) !== null) {
    return `The chain at ${rpc} does not answer. Start it (npm start), or name another with --rpc. ${first}`;
  }
  if (!(error instanceof UnansweredError)) return first;
  return `The relay at ${disperser} does not serve a blob. Start it (npm start), or name another with --disperser. ${first}`;
}

function isUnanswered(cause: unknown): boolean {
  return cause instanceof HttpRequestError || cause instanceof TimeoutError;
}
