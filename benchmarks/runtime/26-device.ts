import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSoftwareVulkan } from "#runtime/fixtures/software-vulkan";
import type { Device } from "#runtime/index";
import { alone, type Benchmark, beside, median, type Row, under } from "../report.ts";
import { amounts, type DeviceResult, type Printed, works } from "./device-worker.ts";
import { type Peer, pythonVariable, startWallPeer, type WallAnswer } from "./peer.ts";
import { randomTokens, seven, sizes, writeAdapters, writeModel } from "./random-model.ts";
import { shapes } from "./step-work.ts";

/** `software` is WebGPU on a Vulkan device made of software: it proves that this runs, its times say nothing. */
const choices = ["webgpu", "cuda", "software"] as const;

/** Most that numbers of a device may differ from the CPU's, as runtime/README.md says. */
const errorMax = 1e-4;

export const benchmark: Benchmark = {
  name: "device",
  title:
    "A GPU: prompts, answers, a LoRA training step and gradients by example, and their distance to our CPU",
  conditions: `wall time, medians of ROUNDS (5) after one uncounted; ours in a process for each device; DEVICE is ${choices.join(", ")}; SIZE is ${Object.keys(sizes).join(", ")} (107M), else tiny and mid, of software nano; prompts of ${amounts.mid.promptTokens} tokens and decode of ${amounts.mid.decodeRows} rows × ${amounts.mid.decodeSteps} steps, of nano ${amounts.nano.promptTokens} and ${amounts.nano.decodeRows} × ${amounts.nano.decodeSteps}; train and gradients as in the benchmarks of those names, seven modules, rank 8; peer: ${pythonVariable} with PyTorch, on CUDA where it has it, else on all cores`,
  run: () =>
    measure().catch((error: unknown) => {
      if (!(error instanceof Unmeasurable)) throw error;
      console.error(error.message);
      process.exit(1);
    }),
};

/** There is nothing to measure here; the message says why, and what would help. */
class Unmeasurable extends Error {}

async function measure(): Promise<Row[]> {
  const device = choices.find((known) => known === (process.env.DEVICE ?? "webgpu"));
  if (!device) throw new Unmeasurable(`DEVICE is one of ${choices.join(", ")}`);
  const rounds = Number(process.env.ROUNDS ?? 5);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Unmeasurable("ROUNDS is a whole number from 1");
  const chosen = sizesOf(device);
  const vulkan = device === "software" ? await openSoftwareVulkan() : null;
  if (device === "software" && !vulkan) throw new Unmeasurable("There is no software device here");
  const folder = await mkdtemp(join(tmpdir(), "bench-device-"));
  const peer = startWallPeer();
  try {
    const rows: Row[] = [];
    for (const size of chosen) {
      const work = { folder: join(folder, size), size, rounds };
      await writeModel(join(work.folder, "model"), size);
      await writeAdapters(join(work.folder, "adapters"), join(work.folder, "model"), 1, seven);
      const found = ours(work, device === "software" ? "webgpu" : device, vulkan?.environment);
      rows.push(...(await rowsOf(work, device, found, ours(work, "cpu"), peer)));
    }
    return rows;
  } finally {
    await peer?.[Symbol.asyncDispose]();
    await vulkan?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }
}

function sizesOf(device: (typeof choices)[number]): readonly (keyof typeof sizes)[] {
  const given = process.env.SIZE;
  if (given === undefined) return device === "software" ? ["nano"] : ["tiny", "mid"];
  if (!Object.hasOwn(sizes, given)) throw new Unmeasurable(`SIZE is one of ${Object.keys(sizes).join(", ")}`);
  return [given as keyof typeof sizes];
}

interface Work {
  readonly folder: string;
  readonly size: keyof typeof shapes;
  readonly rounds: number;
}

/** Everything on one device, in a process of its own: a driver that crashes takes that one alone. */
function ours(
  { folder, size, rounds }: Work,
  device: Device,
  environment: Record<string, string> = {},
): DeviceResult {
  const script = join(import.meta.dirname, "device-worker.ts");
  const given = [
    script,
    join(folder, "model"),
    join(folder, "adapters/0"),
    device,
    size,
    String(rounds),
    folder,
  ];
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, given, {
    encoding: "utf8",
    env: { ...process.env, ...environment },
  });
  if (status !== 0)
    throw new Unmeasurable(`The process on ${device} ended with ${signal ?? status}:\n${stderr}`);
  const printed: Printed = JSON.parse(stdout);
  if (!("error" in printed)) return printed;
  const { code, message } = printed.error;
  throw new Unmeasurable(`${code}: ${message}\nNothing was measured. DEVICE=software runs it without a GPU.`);
}

async function rowsOf(
  work: Work,
  device: string,
  found: DeviceResult,
  cpu: DeviceResult,
  peer: Peer<WallAnswer> | null,
): Promise<Row[]> {
  const { rows, tokens } = shapes[work.size];
  const { promptTokens, decodeRows, decodeSteps } = amounts[work.size];
  const name = `${work.size} on ${device}`;
  const torch = peer && (await askPeer(peer, work, cpu));
  const units = {
    train: ["ms", (ms: number) => ms],
    gradients: ["examples/s", (ms: number) => (rows / ms) * 1000],
    prompt: ["tokens/s", (ms: number) => (promptTokens / ms) * 1000],
    decode: ["tokens/s", (ms: number) => ((decodeRows * decodeSteps) / ms) * 1000],
  } as const;
  const titles = { train: `train step, ${rows} × ${tokens} tokens`, gradients: "gradients by example" };
  const all = works.flatMap((key): Row[] => {
    const [unit, figure] = units[key];
    const title = `${name}: ${{ ...titles, prompt: "prompt", decode: "decode" }[key]}`;
    const mine = figure(found[key].ms);
    const ownCpu = beside(title, unit, mine, figure(cpu[key].ms), "our CPU, one thread");
    if (!torch) return [ownCpu];
    const [theirs, torchName] = [figure(torch.ms[key]), `PyTorch on ${torch.device}`];
    // A goal only between two GPUs: PyTorch on a CPU stands there for scale.
    const hasGoal = key === "train" && torch.device === "cuda";
    return [
      ownCpu,
      hasGoal ? under(title, unit, mine, theirs, torchName, 3) : beside(title, unit, mine, theirs, torchName),
    ];
  });
  return [...all, ...(await errorsOf(work.folder, name, device, found, cpu))];
}

/** Medians of PyTorch's times; what it computed is compared with our CPU. */
async function askPeer(peer: Peer<WallAnswer>, { folder, size, rounds }: Work, cpu: DeviceResult) {
  const matrix = (count: number, length: number) => {
    const tokenIds = randomTokens(count * length);
    return Array.from({ length: count }, (_, row) => tokenIds.slice(row * length, (row + 1) * length));
  };
  const common = { model: join(folder, "model"), adapters: join(folder, "adapters"), adapterCount: 1 };
  const { rows, tokens } = shapes[size];
  const { promptTokens, decodeRows, decodeSteps, decodePromptTokens } = amounts[size];
  const requests = {
    train: { work: "train", tokenIds: matrix(rows, tokens) },
    gradients: { work: "gradients", tokenIds: matrix(rows, tokens) },
    prompt: { work: "answer", steps: 0, tokenIds: matrix(1, promptTokens) },
    decode: { work: "answer", steps: decodeSteps, tokenIds: matrix(decodeRows, decodePromptTokens) },
  };
  const ms = { train: 0, gradients: 0, prompt: 0, decode: 0 };
  let device: WallAnswer["device"] = "cpu";
  for (const work of works) {
    const times: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      const answer = await peer.ask({ ...common, ...requests[work] });
      const { check } = cpu[work];
      if (!(Math.abs(answer.check / check - 1) < 1e-3)) {
        throw new RangeError(`unlike work: ${work} gives ${check} on our CPU, ${answer.check} by PyTorch`);
      }
      device = answer.device;
      times.push(answer.wallMs);
    }
    ms[work] = median(times.slice(1));
  }
  return { ms, device };
}

/** How far the device's numbers lie from those of our CPU. */
async function errorsOf(
  folder: string,
  name: string,
  device: string,
  found: DeviceResult,
  cpu: DeviceResult,
): Promise<Row[]> {
  const read = async (on: string, work: string) => {
    const { buffer, byteOffset, byteLength } = await readFile(join(folder, `${on}.${work}`));
    return new Float32Array(buffer, byteOffset, byteLength / 4);
  };
  const provider = device === "software" ? "webgpu" : device;
  const row = (work: string, error: number, unit = "relative") =>
    alone(`${name}: error of ${work}`, unit, error, { max: errorMax });
  const gradientRows: Row[] = [];
  for (const [work, title] of [
    ["train", "the step's gradients, L2"],
    ["gradients", "gradients by example, L2"],
  ] as const) {
    gradientRows.push(row(title, relativeError(await read(provider, work), await read("cpu", work))));
  }
  // After another token two answers are of different texts.
  const apart = found.generations.flatMap(({ tokenIds, logProbs }, row) => {
    const expected = cpu.generations[row]!;
    const parts = tokenIds.findIndex((tokenId, index) => tokenId !== expected.tokenIds[index]);
    const alike = parts < 0 ? logProbs : logProbs.slice(0, parts);
    return alike.map((logProb, index) => Math.abs(logProb - expected.logProbs[index]!));
  });
  return [
    row("the step's loss", Math.abs(found.train.check / cpu.train.check - 1)),
    ...gradientRows,
    row("log-probabilities of an answer, largest", Math.max(...apart), "nats"),
  ];
}

function relativeError(given: Float32Array, expected: Float32Array): number {
  let [difference, norm] = [0, 0];
  expected.forEach((value, index) => {
    difference += ((given[index] ?? Number.NaN) - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference / norm);
}
