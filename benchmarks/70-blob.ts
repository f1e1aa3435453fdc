import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Worker } from "node:worker_threads";
import { decodeBlob, encodeBlob } from "#eigenda/codec/blob";
import { payloadBytesMax } from "#eigenda/codec/payload";
import type { MsmBackend } from "#eigenda/curve/backend";
import { evaluatePolynomial, frModulus, readSymbols } from "#eigenda/curve/field";
import { loadMcl } from "#eigenda/curve/mcl";
import { nobleBackend } from "#eigenda/curve/noble";
import { compressG1, compressG2, g1Generator, isEqualG1 } from "#eigenda/curve/points";
import { DisperserClient } from "#eigenda/index";
import { kernelBackend } from "#eigenda/kernel/backend";
import { developmentSrs, developmentTau } from "#eigenda/kzg/development-srs";
import { kzgThreads } from "#eigenda/kzg/kzg-thread";
import type { Srs, SrsPoints } from "#eigenda/kzg/srs";
import { alone, type Benchmark, compare, median, type Row } from "./report.ts";

/** Symbols of blobs of 128 KiB, 1 MiB and 16 MiB, and times each is measured. */
const sizes = { small: 4096, large: 32_768, largest: 524_288 };
const rounds = { small: 5, large: 2, dispersed: 15 };

/** Dispersals before those that are measured. */
const warmUps = 10;

/** In Node since 24.6, not yet in its types. */
type MeasuredThread = Worker & { cpuUsage(): Promise<NodeJS.CpuUsage> };

type Commit = (payload: Uint8Array) => void;

export const benchmark: Benchmark = {
  name: "blob",
  title:
    "EigenDA blobs encoded and committed to: one inverse FFT, one G1 and two G2 multi-scalar multiplications",
  conditions: `CPU time on one thread, medians of ${rounds.small} (128 KiB) and ${rounds.large} (1 MiB) alternating rounds; payloads of full size, seed 7; commitments are compared`,
  run: async () => {
    const folder = await mkdtemp(join(tmpdir(), "bench-blob-"));
    try {
      await developmentSrs({ folder });
      const start = process.cpuUsage();
      const srs = await developmentSrs({ folder });
      const startMs = cpuMs(start);
      return [
        ...(await small(srs)),
        ...(await large(srs)),
        ...(await largest(srs)),
        ...(await dispersed(srs, folder)),
        alone("start with a cached SRS of 32,768 symbols", "CPU ms", startMs, { max: 300 }),
      ];
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function small(srs: Srs): Promise<Row[]> {
  const payload = samplePayload(sizes.small);
  const points = slice(srs.points, srs.symbolsMax, sizes.small);
  const [kernel, mcl] = [committer(kernelBackend(), points), committer(await loadMcl(), points)];
  const noble = committer(nobleBackend, points);
  checkEqual([kernel, mcl, noble], payload);
  const times = measure(rounds.small, [kernel.commit, mcl.commit], payload);
  const nobleMs = cpuOf(() => noble.commit(payload));
  const blob = encodeBlob(payload, { form: "eval", symbolsMax: sizes.small });
  const verifyMs = median(
    Array.from({ length: rounds.small }, () =>
      cpuOf(() => {
        kernel.g1.msm(blob, 0);
        decodeBlob(blob, "eval");
      }),
    ),
  );
  return [
    rate("128 KiB, to mcl", times[0]!, times[1]!, "mcl-wasm 2.4.1", 2),
    rate("128 KiB, to pure JavaScript", times[0]!, nobleMs, "@noble/curves 2.4.0", 2),
    alone("128 KiB retrieved and checked, of the time to disperse", "", verifyMs / times[0]!, { max: 0.25 }),
  ];
}

async function large(srs: Srs): Promise<Row[]> {
  const payload = samplePayload(sizes.large);
  const backends = [kernelBackend(), await loadMcl()].map((backend) => committer(backend, srs.points));
  checkEqual(backends, payload);
  const times = measure(
    rounds.large,
    backends.map(({ commit }) => commit),
    payload,
  );
  const noble = committer(nobleBackend, srs.points);
  const nobleMs = cpuOf(() => noble.commit(payload));
  return [
    rate("1 MiB, to mcl", times[0]!, times[1]!, "mcl-wasm 2.4.1", 2),
    rate("1 MiB, to pure JavaScript", times[0]!, nobleMs, "@noble/curves 2.4.0", 2),
  ];
}

/** 16 MiB under points that repeat: the work is that of different ones, and the known τ tells the commitment of the folded blob. */
async function largest(srs: Srs): Promise<Row[]> {
  const payload = samplePayload(sizes.largest);
  const times = sizes.largest / srs.symbolsMax;
  const repeat = (list: Uint8Array) => Buffer.concat(Array<Uint8Array>(times).fill(list));
  const { g1, g2, g2Trailing } = srs.points;
  const points = { g1: repeat(g1), g2: repeat(g2!), g2Trailing: repeat(g2Trailing!) };
  const ours = committer(kernelBackend(), points);
  const ms = cpuOf(() => ours.commit(payload));
  const rssMiB = process.memoryUsage.rss() / 2 ** 20;
  const blob = encodeBlob(payload, { form: "eval", symbolsMax: sizes.largest });
  const symbols = readSymbols(blob);
  if (!symbols.ok) throw new RangeError("the blob is not canonical");
  const folded = Array<bigint>(srs.symbolsMax).fill(0n);
  symbols.value.forEach((symbol, index) => {
    folded[index % folded.length] = (folded[index % folded.length]! + symbol) % frModulus;
  });
  const wanted = (await loadMcl()).mulG1(g1Generator, evaluatePolynomial(folded, developmentTau));
  if (!isEqualG1(ours.g1.msm(blob, 0), wanted)) throw new RangeError("the commitment of 16 MiB is wrong");
  return [
    alone("16 MiB", "CPU s", ms / 1000, { max: 120 }),
    alone("16 MiB, memory of the process", "MiB", rssMiB, { max: 3072 }),
  ];
}

/**
 * Whole dispersals of 128 KiB to a server in another process. The arithmetic threads do the multiplications and nothing else (a message each costs them 0.05 ms); all other threads of
 * this process count as overhead, those that collect garbage and compile for the multiplications too.
 */
async function dispersed(srs: Srs, folder: string): Promise<Row[]> {
  const main = join(import.meta.dirname, "../eigenda/src/dev/main.ts");
  const server = spawn(process.execPath, [main, "--data-dir", join(folder, "data"), "--step-ms", "100"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const threads: MeasuredThread[] = [];
  const add = (thread: unknown) => void threads.push(thread as MeasuredThread);
  kzgThreads.subscribe(add);
  try {
    const [line] = (await once(createInterface({ input: server.stdout }), "line")) as [string];
    const { url } = JSON.parse(line) as { url: string };
    const accountKey = `0x${"11".repeat(32)}` as const;
    await using client = new DisperserClient({ url, accountKey, chainId: 31337n, srs });
    const payload = samplePayload(sizes.small);
    for (let round = 0; round < warmUps; round++) await client.disperse(payload);
    const parts: { wholeMs: number; otherMs: number }[] = [];
    for (let round = 0; round < rounds.dispersed; round++) {
      const [whole, before] = [process.cpuUsage(), await threadsMs(threads)];
      await client.disperse(payload);
      const msmMs = (await threadsMs(threads)) - before;
      const wholeMs = cpuMs(whole);
      parts.push({ wholeMs, otherMs: wholeMs - msmMs });
    }
    const [wholeMs, otherMs] = (["wholeMs", "otherMs"] as const).map((part) =>
      median(parts.map((row) => row[part])),
    );
    return [
      alone(
        `128 KiB dispersed, all but the multiplications (${Math.round(otherMs!)} of ${Math.round(wholeMs!)} CPU ms)`,
        "",
        median(parts.map((row) => row.otherMs / row.wholeMs)),
        { max: 0.05 },
      ),
    ];
  } finally {
    kzgThreads.unsubscribe(add);
    server.kill("SIGTERM");
    await once(server, "close");
  }
}

async function threadsMs(threads: readonly MeasuredThread[]): Promise<number> {
  const usages = await Promise.all(threads.map((thread) => thread.cpuUsage()));
  return usages.reduce((sum, { user, system }) => sum + (user + system) / 1000, 0);
}

function committer(backend: MsmBackend, points: SrsPoints) {
  const g1 = backend.basesG1(points.g1);
  const [g2, trailing] = [backend.basesG2(points.g2!), backend.basesG2(points.g2Trailing!)];
  const commitments = (payload: Uint8Array) => {
    const blob = encodeBlob(payload, { form: "eval", symbolsMax: g1.count });
    const proofs = [g2.msm(blob, 0), trailing.msm(blob, 0)];
    return Buffer.concat([compressG1(g1.msm(blob, 0)), ...proofs.map(compressG2)]).toString("hex");
  };
  const commit: Commit = (payload) => void commitments(payload);
  return { g1, commit, commitments };
}

/** A prefix of the first two lists and the end of the third. */
function slice({ g1, g2, g2Trailing }: SrsPoints, symbolsMax: number, symbols: number): SrsPoints {
  const part = (list: Uint8Array) => (list.length / symbolsMax) * symbols;
  return {
    g1: g1.subarray(0, part(g1)),
    g2: g2!.subarray(0, part(g2!)),
    g2Trailing: g2Trailing!.subarray(-part(g2Trailing!)),
  };
}

function checkEqual(backends: ReturnType<typeof committer>[], payload: Uint8Array): void {
  const texts = backends.map(({ commitments }) => commitments(payload));
  if (new Set(texts).size !== 1)
    throw new RangeError("the commitments differ: the benchmark compares unlike work");
}

/** Medians of CPU ms of each, by turns. */
function measure(count: number, work: readonly Commit[], payload: Uint8Array): number[] {
  const times: number[][] = work.map(() => []);
  for (let round = 0; round < count; round++) {
    for (const [index, commit] of work.entries()) times[index]!.push(cpuOf(() => commit(payload)));
  }
  return times.map(median);
}

function rate(work: string, oursMs: number, peerMs: number, peer: string, ratioMin: number): Row {
  return compare(
    `${work} (${Math.round(oursMs)} against ${Math.round(peerMs)} CPU ms)`,
    "blobs/CPU s",
    1000 / oursMs,
    1000 / peerMs,
    peer,
    ratioMin,
  );
}

function cpuOf(work: () => void): number {
  const start = process.cpuUsage();
  work();
  return cpuMs(start);
}

function cpuMs(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

/** Fills a blob of so many symbols. */
function samplePayload(symbols: number): Uint8Array {
  let state = 7;
  return Uint8Array.from({ length: payloadBytesMax(symbols) }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}
