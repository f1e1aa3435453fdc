import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { keccak256, stringToBytes } from "viem/utils";
import type { ModelGraphs } from "#runtime/decoder/inference-graphs";
import { timeBlockTokens } from "#runtime/time-block";
import { hashFiles } from "#runtime/weights/model-files";
import type { ModelFolder } from "#runtime/weights/model-folder";
import type { Quantisation } from "#runtime/weights/quantisation";
import { chunkBytesMax } from "./chunks.ts";
import type { Device } from "./device.ts";
import { ortVersion } from "./session.ts";
import { type SessionChoice, type SessionOptions, sessionOptions } from "./session-options.ts";

/**
 * Everything besides the request that decides the bits of a result. Two machines with the same profile give
 * the same log-probabilities; where only `ortVersion`, `cpuIsa` or `sessionOptions` differ, they agree to
 * about 1e-5 relative.
 */
export interface ExecutionProfile {
  /** keccak-256 of `canonicalJson` in UTF-8. */
  readonly hash: Hex;
  /** The fields below as JSON: keys sorted at every level, no spaces. */
  readonly canonicalJson: string;
  readonly ortVersion: string;
  /** What computes: ONNX Runtime's execution provider. */
  readonly provider: Device;
  /** Architecture and the widest vector extension ONNX Runtime picks its CPU kernels by, e.g. `x64+avx2`; see `detectCpuIsa`. */
  readonly cpuIsa: string;
  /** SHA-256 over the lines "<sha256 hex>  <purpose>.onnx\n" of the graphs, in name order. */
  readonly graphHash: Hex;
  /** SHA-256 of each weight file, by name. */
  readonly weightHashes: Readonly<Record<string, Hex>>;
  /** How matrices are stored, or null where all are numbers. */
  readonly quantisation: Quantisation | null;
  /** `hashAdapter` of every adapter that took part, sorted. */
  readonly adapterHashes: readonly Hex[];
  readonly sessionOptions: SessionOptions;
  /** Sequences are padded on the right to whole blocks of this many tokens. */
  readonly timeBlockTokens: number;
  /** Bound that cuts long sequences into chunks; only where the context is long enough for any to be cut. */
  readonly chunkBytesMax?: number;
}

type Hex = `0x${string}`;

/** Encoded graphs by purpose. */
type Graphs = Partial<Record<keyof ModelGraphs | "train" | "evaluation" | "gradients", Uint8Array>>;

/** Put a profile together. Pure but for its arguments. */
export function makeProfile(
  parts: SessionChoice & {
    ortVersion: string;
    cpuIsa: string;
    graphs: Graphs;
    weightHashes: Readonly<Record<string, Hex>>;
    quantisation?: Quantisation | null;
    adapterHashes?: readonly Hex[];
    timeBlockTokens?: number;
  },
): ExecutionProfile {
  const options = sessionOptions(parts);
  const fields = {
    ortVersion: parts.ortVersion,
    provider: options.executionProviders[0],
    cpuIsa: parts.cpuIsa,
    graphHash: hashGraphs(parts.graphs),
    weightHashes: parts.weightHashes,
    quantisation: parts.quantisation ?? null,
    adapterHashes: (parts.adapterHashes ?? []).toSorted(),
    sessionOptions: options,
    timeBlockTokens: parts.timeBlockTokens ?? timeBlockTokens,
    ...(parts.graphs.extendLogProb ? { chunkBytesMax } : {}),
  };
  const canonicalJson = JSON.stringify(sorted(fields));
  return { hash: keccak256(stringToBytes(canonicalJson)), canonicalJson, ...fields };
}

/** The profile of graphs that this thread runs on a folder, and the identity of the folder's files: reads them all. */
export async function profileHere(
  { files, quantisation }: Pick<ModelFolder, "files" | "quantisation">,
  parts: SessionChoice & { graphs: Graphs; timeBlockTokens: number },
): Promise<{ profile: ExecutionProfile; artifactHash: Hex }> {
  const { artifactHash, weightHashes } = await hashFiles(files);
  const cpuIsa = await detectCpuIsa();
  return { profile: makeProfile({ ...parts, ortVersion, cpuIsa, weightHashes, quantisation }), artifactHash };
}

/**
 * Instruction set of this machine. Linux on x64 tells its flags, of which `isaFromFlags` takes those that choose
 * kernels. Elsewhere nobody tells Node: the name of the CPU stands for its instruction set, so that machines of
 * different CPUs have different profiles even where they would compute the same bits.
 */
export async function detectCpuIsa(): Promise<string> {
  const { platform, arch } = process;
  if (platform === "linux" && arch === "x64") return isaFromFlags(await readFile("/proc/cpuinfo", "utf8"));
  const models = cpus().map(({ model }) => model);
  return isaFromModels(arch, platform, models);
}

/** E.g. `arm64+darwin+Apple M2`; of cores of several kinds every kind is named. */
export function isaFromModels(arch: string, platform: string, models: readonly string[]): string {
  const kinds = new Set(models.map((model) => model.replaceAll(/\s+/g, " ").trim()).filter(Boolean));
  return [arch, platform, ...(kinds.size > 0 ? [...kinds].toSorted() : ["unknown"])].join("+");
}

/** The kernel family for x64 flags, by ONNX Runtime's own tests (onnxruntime/core/mlas/lib/platform.cpp). */
export function isaFromFlags(cpuinfo: string): string {
  const flags = new Set(/^flags\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]?.split(/\s+/));
  const has = (...names: string[]) => names.every((name) => flags.has(name));
  if (has("avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl")) return "x64+avx512";
  if (has("avx2", "fma")) return "x64+avx2";
  return has("avx") ? "x64+avx" : "x64+sse2";
}

function hashGraphs(graphs: Graphs): `0x${string}` {
  const lines = Object.entries(graphs)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([purpose, bytes]) => `${createHash("sha256").update(bytes).digest("hex")}  ${purpose}.onnx\n`);
  return `0x${createHash("sha256").update(lines.join("")).digest("hex")}`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}
