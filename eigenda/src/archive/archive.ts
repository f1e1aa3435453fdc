import { bytesToHex, type Hex } from "viem";
import { type Certificate, certificateHash, decodeCertificate } from "../certificate/certificate.ts";
import { type BlobSource, firstAnswer } from "../client/blob-source.ts";
import { symbolBytes } from "../curve/field.ts";
import { compressG1 } from "../curve/points.ts";
import { type Decoded, EigenDaError } from "../errors.ts";
import { checkedBlob, checkSize } from "../kzg/blob-check.ts";
import { Committer } from "../kzg/committer.ts";
import type { Srs } from "../kzg/srs.ts";
import type { ObjectStore } from "./object-store.ts";

export const dayMs = 86_400_000;

/** How long EigenDA keeps a blob. */
export const retentionMs = 14 * dayMs;

export type ArchiveOptions = {
  /** Where copies are kept; each blob is wanted in all of them. */
  stores: readonly [ObjectStore, ...ObjectStore[]];
  srs: Srs;
  /** Whom to ask for a blob of which no copy is good: the relays, while they still have it. */
  source?: BlobSource;
  /** Time before a blob's expiry from which it is an alarm that a copy is missing. */
  alarmMs?: number;
  nowMs?: () => number;
};

/** What stands beside a certificate in the archive. Times in Unix milliseconds. */
export type ArchiveEntry = {
  certificateHash: Hex;
  /** When the network forgets the blob: 14 days after its dispersal. */
  expiresAtMs: number;
  /** When every store first had a good copy; null before. */
  archivedAtMs: number | null;
};

export type EntryState = ArchiveEntry & {
  /** Stores whose copy has the certificate's commitment. */
  copies: string[];
  /** Stores without a good copy, and why. */
  missing: { store: string; reason: string }[];
  /** Copies that were missing or wrong and were written anew in this sweep. */
  repaired: string[];
};

export type Sweep = {
  entries: EntryState[];
  /** Stores that could not be listed, and why: what only they hold was not looked at. Somebody must act. */
  unlisted: { store: string; reason: string }[];
  /** Names among the certificates that are none, or of which no store has the certificate whole, and why. */
  unreadable: { name: string; reason: string }[];
  /** Not in every store, and the network forgets it within `alarmMs`. Somebody must act. */
  alarms: EntryState[];
  /** No good copy, and the network has forgotten it. */
  lost: EntryState[];
};

type ReadEntry = { entry: ArchiveEntry; certificate: Certificate; bytes: Uint8Array };

const alarmMsDefault = 4 * dayMs;
const folders = { blob: "blob/", certificate: "certificate/", entry: "entry/" };

/**
 * Blobs and certificates kept beyond the network's 14 days, named by their content: blobs by commitment and length, certificates by hash. No store is
 * trusted: a copy counts once its commitment was recomputed. Holds one arithmetic thread: close it.
 */
export class Archive implements AsyncDisposable, BlobSource {
  readonly #options: ArchiveOptions;
  readonly #committer: Committer;

  constructor(options: ArchiveOptions) {
    this.#options = options;
    this.#committer = new Committer({ ...options.srs.points, g2: null, g2Trailing: null });
  }

  /**
   * Takes in a certificate and its blob; reads every copy back. Without the blob only the certificate is kept, and the next sweep fetches it. A second time it
   * changes no date but `archivedAtMs`, from null: when the network forgets the blob was told by the first.
   * A store that fails does not keep the blob from the others.
   * @throws EigenDaError invalid for bytes that are no certificate; mismatch for another blob, or a store that does not give back what it took; what the first
   * store that failed threw, after all were tried.
   */
  async add(
    certificate: Uint8Array,
    options: { blob?: Uint8Array; dispersedAtMs?: number } = {},
  ): Promise<ArchiveEntry> {
    const decoded = decodeOrThrow(certificate);
    const blob = options.blob && (await this.#checked(decoded, options.blob));
    const hash = certificateHash(certificate);
    const expiresAtMs = (options.dispersedAtMs ?? this.#now()) + retentionMs;
    const known = await this.#knownEntry(hash);
    const entry: ArchiveEntry = {
      certificateHash: hash,
      expiresAtMs: Math.min(known?.expiresAtMs ?? expiresAtMs, expiresAtMs),
      archivedAtMs: known?.archivedAtMs ?? (blob ? this.#now() : null),
    };
    const failures: unknown[] = [];
    for (const store of this.#options.stores) {
      try {
        await store.put(folders.certificate + hash, certificate);
        if (blob) await this.#writeBlob(store, decoded, blob);
        await writeEntry(store, entry);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return entry;
  }

  /** Hashes of the certificates that some store lists. A store that cannot list is passed over. */
  async certificateHashes(): Promise<Hex[]> {
    return (await this.#listing()).hashes;
  }

  /** A verified copy from the first store that has one, and `archive <store>`. @throws EigenDaError; the signal's reason. */
  async retrieveBlob(
    certificate: Certificate,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<{ blob: Uint8Array; servedBy: string }> {
    checkSize(this.#committer, certificate.header.commitment);
    const asks = this.#options.stores.map((store) => ({
      name: `archive ${store.name}`,
      ask: async () => ({
        blob: await this.#readBlob(store, certificate, signal),
        servedBy: `archive ${store.name}`,
      }),
    }));
    const { commitment } = certificate.header.commitment;
    return await firstAnswer(bytesToHex(compressG1(commitment)), asks, signal);
  }

  /**
   * Checks every copy of every blob against its commitment, and replaces what is missing or wrong from a good copy, or from the source. One
   * blob at a time; call it on a schedule, daily. A store that fails counts as one without good copies.
   * @throws the signal's reason, between two blobs.
   */
  async sweep({ signal }: { signal?: AbortSignal } = {}): Promise<Sweep> {
    const { hashes, unlisted, strays } = await this.#listing();
    const unreadable = strays.map((name) => ({ name, reason: "The name is no hash of a certificate." }));
    const entries: EntryState[] = [];
    for (const hash of hashes) {
      signal?.throwIfAborted();
      const read = await this.#readEntry(hash);
      if (read.ok) entries.push(await this.#sweepEntry(read.value));
      else unreadable.push({ name: hash, reason: read.reason });
    }
    const now = this.#now();
    const open = entries.filter(({ missing }) => missing.length > 0);
    return {
      entries,
      unlisted,
      unreadable,
      alarms: open.filter(
        ({ expiresAtMs }) => expiresAtMs - now <= (this.#options.alarmMs ?? alarmMsDefault),
      ),
      lost: open.filter(({ copies, expiresAtMs }) => copies.length === 0 && expiresAtMs <= now),
    };
  }

  close(): Promise<void> {
    return this.#committer[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #sweepEntry({ entry, certificate, bytes }: ReadEntry): Promise<EntryState> {
    const { stores } = this.#options;
    const state: EntryState = { ...entry, copies: [], missing: [], repaired: [] };
    let blob: Uint8Array | null = null;
    const bad: { store: ObjectStore; reason: string }[] = [];
    for (const store of stores) {
      const copy = await attempt(() => this.#readBlob(store, certificate));
      if (copy.ok) {
        blob = copy.value;
        state.copies.push(store.name);
      } else bad.push({ store, reason: copy.reason });
    }
    if (bad.length > 0) blob ??= await this.#fetchAgain(certificate);
    for (const { store, reason } of bad) {
      const repair = blob === null ? null : await attempt(() => this.#writeBlob(store, certificate, blob));
      if (repair?.ok) {
        state.repaired.push(store.name);
        state.copies.push(store.name);
      } else state.missing.push({ store: store.name, reason: repair === null ? reason : repair.reason });
    }
    if (state.missing.length === 0) state.archivedAtMs ??= this.#now();
    await this.#writeAgain({ ...entry, archivedAtMs: state.archivedAtMs }, bytes);
    return state;
  }

  /** A store that fails here has been reported for its blob, or will be at the next sweep. */
  async #writeAgain(entry: ArchiveEntry, certificate: Uint8Array): Promise<void> {
    for (const store of this.#options.stores) {
      await attempt(async () => {
        await store.put(folders.certificate + entry.certificateHash, certificate);
        await writeEntry(store, entry);
      });
    }
  }

  async #fetchAgain(certificate: Certificate): Promise<Uint8Array | null> {
    const { source } = this.#options;
    if (source === undefined) return null;
    const answer = await attempt(() => source.retrieveBlob(certificate, {}));
    return answer.ok ? answer.value.blob : null;
  }

  async #listing(): Promise<{ hashes: Hex[]; strays: string[]; unlisted: Sweep["unlisted"] }> {
    const names = new Set<string>();
    const unlisted: Sweep["unlisted"] = [];
    for (const store of this.#options.stores) {
      const keys = await attempt(() => store.list(folders.certificate));
      if (keys.ok) for (const key of keys.value) names.add(key.slice(folders.certificate.length));
      else unlisted.push({ store: store.name, reason: keys.reason });
    }
    const [hashes, strays] = [[...names].filter(isHash), [...names].filter((name) => !isHash(name))];
    return { hashes: hashes.sort(), strays: strays.sort(), unlisted };
  }

  /** What the first store that has the entry says; null if none does, or none can say. */
  async #knownEntry(hash: Hex): Promise<ArchiveEntry | null> {
    for (const store of this.#options.stores) {
      const read = await attempt(() => store.get(entryName(hash)));
      if (read.ok && read.value !== null) return parseEntry(hash, read.value);
    }
    return null;
  }

  /** The first store's that has certificate and entry, whole: a certificate is its own check, by its hash. */
  async #readEntry(hash: Hex): Promise<Decoded<ReadEntry>> {
    for (const store of this.#options.stores) {
      const read = await attempt(async () => {
        const bytes = await store.get(folders.certificate + hash);
        if (bytes === null || certificateHash(bytes) !== hash) return null;
        return { bytes, entry: parseEntry(hash, await store.get(entryName(hash))) };
      });
      if (!read.ok || read.value === null) continue;
      const certificate = decodeCertificate(read.value.bytes);
      return certificate.ok
        ? { ok: true, value: { ...read.value, certificate: certificate.value } }
        : certificate;
    }
    return { ok: false, reason: "No store has the certificate whole." };
  }

  async #readBlob(
    store: ObjectStore,
    certificate: Certificate,
    signal?: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const bytes = await store.get(blobName(certificate), { signal });
    if (bytes === null) throw new EigenDaError("failover", `The ${store.name} has no copy.`);
    return await this.#checked(certificate, bytes);
  }

  /** Reads back what was written: equal bytes have an equal commitment. */
  async #writeBlob(store: ObjectStore, certificate: Certificate, blob: Uint8Array): Promise<void> {
    await store.put(blobName(certificate), blob);
    const copy = await store.get(blobName(certificate));
    if (copy === null || Buffer.compare(copy, blob) !== 0)
      throw new EigenDaError("mismatch", `The ${store.name} does not give back what it took.`);
  }

  #checked(certificate: Certificate, bytes: Uint8Array): Promise<Uint8Array> {
    return checkedBlob(this.#committer, certificate.header.commitment, bytes);
  }

  #now(): number {
    return this.#options.nowMs?.() ?? Date.now();
  }
}

/** What a sweep found, as gauges. */
export function sweepFigures(sweep: Sweep): { name: string; help: string; value: number }[] {
  const copies = sweep.entries.flatMap((entry) => entry.copies).length;
  const repaired = sweep.entries.flatMap((entry) => entry.repaired).length;
  const missing = sweep.entries.flatMap((entry) => entry.missing).length;
  const figures: [name: string, help: string, value: number][] = [
    ["blobs", "Blobs in the archive.", sweep.entries.length],
    ["copies_good", "Copies whose commitment was recomputed in the last sweep.", copies],
    ["copies_missing", "Copies missing or wrong after the last sweep.", missing],
    ["copies_repaired", "Copies written anew in the last sweep.", repaired],
    ["alarms", "Blobs not in every store that the network will soon forget.", sweep.alarms.length],
    ["stores_unlisted", "Stores that could not be listed in the last sweep.", sweep.unlisted.length],
    ["unreadable", "Certificates that no store has whole, and stray files.", sweep.unreadable.length],
    ["lost", "Blobs without a good copy that the network has forgotten.", sweep.lost.length],
  ];
  return figures.map(([name, help, value]) => ({ name, help, value }));
}

/** A sweep as Prometheus text, `eigenda_archive_*`. */
export function sweepMetrics(sweep: Sweep): string {
  return sweepFigures(sweep)
    .map(({ name, help, value }) => ({ name: `eigenda_archive_${name}`, help, value }))
    .map(({ name, help, value }) => `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name} ${value}\n`)
    .join("");
}

function blobName({ header }: Certificate): string {
  const { commitment, length } = header.commitment;
  return `${folders.blob}${bytesToHex(compressG1(commitment))}-${length * symbolBytes}`;
}

function entryName(hash: Hex): string {
  return `${folders.entry}${hash}.json`;
}

function writeEntry(store: ObjectStore, entry: ArchiveEntry): Promise<void> {
  return store.put(entryName(entry.certificateHash), Buffer.from(JSON.stringify(entry)));
}

function isHash(name: string): name is Hex {
  return /^0x[0-9a-f]{64}$/.test(name);
}

/** An entry that is gone or damaged counts as expiring now: an alarm too many is better than one too few. */
function parseEntry(hash: Hex, bytes: Uint8Array | null): ArchiveEntry {
  try {
    const entry = JSON.parse(Buffer.from(bytes ?? []).toString()) as ArchiveEntry;
    if (typeof entry.expiresAtMs === "number") return { ...entry, certificateHash: hash };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return { certificateHash: hash, expiresAtMs: 0, archivedAtMs: null };
}

function decodeOrThrow(bytes: Uint8Array): Certificate {
  const decoded = decodeCertificate(bytes);
  if (!decoded.ok) throw new EigenDaError("invalid", decoded.reason);
  return decoded.value;
}

/** What one store does wrong must not keep the sweep from the others: it is reported, not thrown. */
async function attempt<T>(
  work: () => Promise<T>,
): Promise<{ ok: true; value: T } | { ok: false; reason: string }> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
}
