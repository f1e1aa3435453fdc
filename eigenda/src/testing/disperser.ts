import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keccak256, stringToBytes } from "viem";
import { DisperserClient, type DisperserClientOptions } from "../client/disperser-client.ts";
import { RelayClient } from "../client/relay-client.ts";
import {
  type DevelopmentDisperserOptions,
  developmentChainId,
  startDevelopmentDisperser,
} from "../dev/disperser.ts";
import { developmentSrs } from "../kzg/development-srs.ts";

export const accountKey = keccak256(stringToBytes("tributary eigenda test account"));

/** A running development disperser with small blobs and fast steps, and clients of it. Disposing removes everything. */
export async function startTestDisperser(
  options: Partial<DevelopmentDisperserOptions> = {},
  clientOptions: Partial<DisperserClientOptions> = {},
) {
  const folder = await mkdtemp(join(tmpdir(), "eigenda-test-"));
  const srs = await developmentSrs({ folder, symbolsMax: 64 });
  const server = await startDevelopmentDisperser({ dataFolder: join(folder, "data"), stepMs: 5, ...options });
  const client = new DisperserClient({
    url: server.url,
    accountKey,
    chainId: developmentChainId,
    srs,
    pollMs: 5,
    ...clientOptions,
  });
  const relay = new RelayClient({ relayUrl: () => server.url, srs });
  return {
    folder,
    srs,
    server,
    client,
    relay,
    async [Symbol.asyncDispose]() {
      await client.close();
      await relay.close();
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Bytes that look like nothing in particular and are the same each time. */
export function samplePayload(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, index) => (index * 151 + bytes) % 256);
}
