/**
 * Ours of 26-device.ts: `node device-worker.ts <model folder> <adapter folder> <device> <size> <rounds> <results folder>`
 * prints what everything took and gave as JSON, and leaves gradients in the results folder. A device that cannot be
 * opened, or another failure with a code, is printed as `{"error"}`.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Device,
  type GenerateRequest,
  type Generation,
  type Model,
  openModel,
  readAdapter,
} from "#runtime/index";
import { clockMs, median } from "../report.ts";
import { randomTokens } from "./random-model.ts";
import { normOfFirst, openStep, shapes } from "./step-work.ts";

const usual = { promptTokens: 512, decodeRows: 8, decodeSteps: 31, decodePromptTokens: 64 };

/** Tokens of the prompt that is timed; rows and steps of the batch that is, and tokens of its prompts. */
export const amounts = {
  nano: { promptTokens: 64, decodeRows: 2, decodeSteps: 7, decodePromptTokens: 16 },
  tiny: usual,
  mid: usual,
};

/** What is measured, and what of each PyTorch must agree with. */
export interface Timed {
  readonly ms: number;
  /** `train`: the loss; `gradients`: the norm of the first example's; `prompt` and `decode`: of the first row's last token, in nats. */
  readonly check: number;
}
export interface DeviceResult extends Readonly<Record<(typeof works)[number], Timed>> {
  /** The answers of the batch. */
  readonly generations: readonly Generation[];
}
export const works = ["train", "gradients", "prompt", "decode"] as const;
export type Printed = DeviceResult | { readonly error: { readonly code: string; readonly message: string } };

const [folder = "", adapterFolder = "", name, sizeName, count, results = ""] = process.argv.slice(2);
const device = name as Device;
const size = sizeName as keyof typeof shapes;
const rounds = Number(count);

/** Median of the rounds after one that is not counted: kernels are compiled in it. */
async function timed(work: () => Promise<number>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round <= rounds; round++) times.push(await work());
  return median(times.slice(1));
}

async function step(work: "train" | "gradients"): Promise<Timed> {
  const { rows, tokens } = shapes[size];
  const adapter = await readAdapter(adapterFolder);
  const opened = await openStep(work, folder, adapter, randomTokens(rows * tokens), tokens, device);
  let outputs: Record<string, Float32Array> = {};
  const ms = await timed(() =>
    clockMs(async () => {
      outputs = await opened.run(opened.feeds);
    }),
  );
  await opened.release();
  const names = Object.keys(outputs).filter((output) => output.startsWith("gradient."));
  const bytes = names.toSorted().map((output) => new Uint8Array(outputs[output]!.buffer));
  await writeFile(join(results, `${device}.${work}`), Buffer.concat(bytes));
  return { ms, check: work === "train" ? outputs.loss![0]! : normOfFirst(outputs, rows) };
}

const request = (tokenIds: number[], tokensMax: number): GenerateRequest => ({
  promptTokenIds: tokenIds,
  tokensMax,
  temperature: 0,
  seed: 0n,
});

/** Answers to several prompts together, and milliseconds from their first tokens to the end. */
async function decode(model: Model): Promise<{ ms: number; generations: Generation[] }> {
  const { decodeRows, decodeSteps, decodePromptTokens } = amounts[size];
  const tokenIds = randomTokens(decodeRows * decodePromptTokens);
  let begun = 0;
  const generations = await Promise.all(
    Array.from({ length: decodeRows }, (_, row) =>
      model.generate({
        ...request(tokenIds.slice(row * decodePromptTokens, (row + 1) * decodePromptTokens), decodeSteps + 1),
        // Every prompt has run before the first of them: rows join before they step.
        onToken: ({ index }) => {
          if (index === 0) begun = performance.now();
        },
      }),
    ),
  );
  return { ms: performance.now() - begun, generations };
}

async function measure(): Promise<DeviceResult> {
  const [train, gradients] = [await step("train"), await step("gradients")];
  await using model = await openModel(folder, { device });
  let first: Generation | undefined;
  const promptMs = await timed(() =>
    clockMs(async () => {
      first = await model.generate(request(randomTokens(amounts[size].promptTokens), 1));
    }),
  );
  let generations: Generation[] = [];
  const decodeMs = await timed(async () => {
    const run = await decode(model);
    generations = run.generations;
    return run.ms;
  });
  const lastOf = (generation: Generation | undefined) => generation?.logProbs.at(-1) ?? Number.NaN;
  return {
    ...{ train, gradients, generations },
    prompt: { ms: promptMs, check: lastOf(first) },
    decode: { ms: decodeMs, check: lastOf(generations[0]) },
  };
}

if (process.argv[1] === import.meta.filename) {
  const printed: Printed = await measure().catch((error: unknown) => {
    if (!(error instanceof Error && "code" in error)) throw error;
    return { error: { code: String(error.code), message: error.message } };
  });
  console.log(JSON.stringify(printed));
}
