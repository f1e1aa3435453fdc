import { createHash } from "node:crypto";
import { access, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { checkEndpoint } from "../client/channel.ts";
import { g1CompressedBytes, g2CompressedBytes } from "../curve/points.ts";
import { EigenDaError } from "../errors.ts";
import { fileSrs, type SrsFile } from "./file-srs.ts";
import { mainnetSrsAnchor } from "./mainnet-srs.ts";
import { type Srs, type SrsAnchor, srsOrder } from "./srs.ts";

export type SrsDownload = {
  /** Folder on a server that answers range requests: `https://srs-mainnet.s3.amazonaws.com/kzg` holds the ceremony's. */
  url: string;
  /** Where the files and the points made of them are kept. */
  folder: string;
  /** Symbols of the largest blob: 32 bytes of `g1.point` are fetched for each, and 128 of the G2 files. */
  symbolsMax: number;
  /** Without G2 blobs can be retrieved, not dispersed. Default true. */
  hasG2?: boolean;
  /** The file whose last points are the trailing ones, and how many it holds. Default: `g2.point`, the whole ceremony. */
  trailing?: { file: string; points: number };
  /** Checksums of the parts, where they are known. Those of the ceremony's first 524,288 symbols stand in the EigenDA repository. */
  sha256?: { g1?: string; g2?: string; g2Trailing?: string };
  /** Whose points they are; default: the ceremony's. */
  anchor?: SrsAnchor;
  /** Time for one request; what came until then is kept. */
  requestMsMax?: number;
  signal?: AbortSignal;
};

/** Part of a file on the server, and where it is kept. */
type Part = { url: string; start: number; bytes: number; path: string; sha256: string | undefined };

const requestMsMaxDefault = 600_000;

/** Requests for one part in all, each going on where the one before broke off, and the pause after the first; it doubles. */
const requestsMax = 6;
const pauseMs = 500;

/**
 * The part of the ceremony's points that blobs of `symbolsMax` symbols need, by HTTP range requests. A download that broke off goes on where it was, also in another
 * process's time. Parts are checked by checksum where one is given, and always by pairings at the powers of two; what fails is removed. Kept in `folder`, so that later calls need no server.
 * @throws EigenDaError invalid for a URL that is not https outside loopback, a server without range requests or without the file, or points that are not the
 * ceremony's; failover if the server cannot be reached; mismatch if it sends something else than it was asked for. The signal's reason if aborted.
 */
export async function downloadedSrs(options: SrsDownload): Promise<Srs> {
  const { url, folder, symbolsMax, sha256 = {}, anchor = mainnetSrsAnchor } = options;
  checkEndpoint(url, anchor);
  await mkdir(folder, { recursive: true });
  const trailing = options.trailing ?? { file: "g2.point", points: srsOrder };
  const partOf = (
    name: string,
    file: string,
    pointBytes: number,
    first: number,
    checksum: string | undefined,
  ): Part => ({
    url: `${url.replace(/\/+$/, "")}/${file}`,
    start: first * pointBytes,
    bytes: symbolsMax * pointBytes,
    path: join(folder, `${name}-${symbolsMax}.point`),
    sha256: checksum,
  });
  const parts = [partOf("g1", "g1.point", g1CompressedBytes, 0, sha256.g1)];
  if (options.hasG2 ?? true) {
    const first = trailing.points - symbolsMax;
    parts.push(
      partOf("g2", "g2.point", g2CompressedBytes, 0, sha256.g2),
      partOf("g2-trailing", trailing.file, g2CompressedBytes, first, sha256.g2Trailing),
    );
  }
  const files: SrsFile[] = [];
  for (const part of parts) files.push(await fetchPart(part, options));
  const [g1, prefix, end] = files;
  try {
    const g2 = prefix && end && { prefix, trailing: end };
    return await fileSrs({ g1: g1!, ...(g2 && { g2 }), symbolsMax, anchor, cacheFolder: folder });
  } catch (error) {
    // Kept, they would fail every later call too.
    for (const { path } of files) await rm(path, { force: true });
    throw error;
  }
}

/** The part's file, whole and of the checksum given; its checksum if none was. */
async function fetchPart(part: Part, options: SrsDownload): Promise<SrsFile> {
  const isThere = await access(part.path).then(
    () => true,
    () => false,
  );
  if (!isThere) await download(part, options);
  const sha256 = createHash("sha256")
    .update(await readFile(part.path))
    .digest("hex");
  if (part.sha256 !== undefined && part.sha256 !== sha256) {
    await rm(part.path, { force: true });
    const figures = `Wanted: ${part.sha256}. Given: ${sha256}.`;
    throw new EigenDaError("invalid", `What ${part.url} sent has another checksum. ${figures}`);
  }
  return { path: part.path, sha256 };
}

async function download(part: Part, options: SrsDownload): Promise<void> {
  const partial = `${part.path}.partial`;
  for (let request = 1; ; request++) {
    options.signal?.throwIfAborted();
    try {
      await requestRest(part, partial, options);
      await rename(partial, part.path);
      return;
    } catch (error) {
      options.signal?.throwIfAborted();
      const isFinal = error instanceof EigenDaError && !error.retryable;
      if (isFinal) await rm(partial, { force: true });
      if (isFinal || request === requestsMax) throw error;
    }
    await sleep(
      pauseMs * 2 ** (request - 1),
      undefined,
      options.signal ? { signal: options.signal } : {},
    ).catch((error) => {
      throw options.signal?.aborted ? options.signal.reason : error;
    });
  }
}

/** Appends what is still missing. Returns when the part is whole and on disk. */
async function requestRest(part: Part, partial: string, options: SrsDownload): Promise<void> {
  const have = await stat(partial).then(
    ({ size }) => size,
    () => 0,
  );
  if (have === part.bytes) return;
  if (have > part.bytes) throw new EigenDaError("mismatch", `${partial} is longer than the part it is of.`);
  const [from, to] = [part.start + have, part.start + part.bytes - 1];
  const timeout = AbortSignal.timeout(options.requestMsMax ?? requestMsMaxDefault);
  const response = await fetch(part.url, {
    headers: { range: `bytes=${from}-${to}` },
    signal: options.signal ? AbortSignal.any([options.signal, timeout]) : timeout,
  }).catch((cause) => {
    throw new EigenDaError("failover", `${part.url} cannot be reached: ${cause}`, { cause });
  });
  checkAnswer(part, response, `bytes ${from}-${to}/`);
  const file = await open(partial, "a");
  let size = have;
  try {
    for await (const bytes of response.body ?? []) {
      size += bytes.length;
      if (size > part.bytes)
        throw new EigenDaError("mismatch", `${part.url} sent more than it was asked for.`);
      await file.writeFile(bytes);
    }
    await file.sync();
  } catch (cause) {
    if (cause instanceof EigenDaError) throw cause;
    throw new EigenDaError("failover", `${part.url} broke off: ${cause}`, { cause });
  } finally {
    await file.close();
  }
  if (size < part.bytes) throw new EigenDaError("failover", `${part.url} broke off after ${size} bytes.`);
}

function checkAnswer({ url }: Part, { status, headers }: Response, range: string): void {
  if (status === 200) throw new EigenDaError("invalid", `${url} does not answer range requests.`);
  if (status >= 500 || status === 429) throw new EigenDaError("failover", `${url} answered ${status}.`);
  if (status !== 206) throw new EigenDaError("invalid", `${url} answered ${status}.`);
  const given = headers.get("content-range") ?? "no range";
  if (given.startsWith(range)) return;
  throw new EigenDaError("mismatch", `${url} sent another range. Wanted: ${range}… Given: ${given}.`);
}
