/** A tiny Llama over the words of `tasks.ts`, made from a seed by the product's own training: nothing is downloaded. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { drawSimple, type TaskRecord, words } from "#engine/faithfulness/tasks";
import { expectedTensors } from "#runtime/decoder/description";
import { decodeConfig } from "#runtime/families/config";
import { type Example, initialAdapter, mergeAndSave, train } from "#runtime/index";
import { pcg32 } from "#runtime/inference/sampler";
import { writeSafetensors } from "#runtime/weights/safetensors-writer";

export const seven = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/** Tokens: begin, answer and end, then the words. */
const wordsFrom = 3;
const [begin, answerMark, end] = [0, 1, 2] as const;

const config = {
  model_type: "llama",
  vocab_size: wordsFrom + words.length,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  tie_word_embeddings: true,
};

export const preTraining = { records: 4_096, steps: 250, rank: 64, peak: 5e-3 } as const;

/** `<begin> question <answer> answer <end>`, learned from the answer on. */
export function exampleOf({ question, answer }: TaskRecord): Example {
  const idsOf = (of: readonly string[]) => of.map((word) => wordsFrom + words.indexOf(word));
  const prompt = [begin, ...idsOf(question), answerMark];
  return { tokenIds: [...prompt, ...idsOf(answer), end], answerFrom: prompt.length };
}

/** Random weights, then pre-training on two simple tasks: an adapter of full rank on every matrix, merged. */
export async function makeWordModel(folder: string, seed: bigint): Promise<string> {
  const random = join(folder, "random");
  const trained = join(folder, "base");
  await rm(random, { recursive: true, force: true });
  await writeRandomModel(random, seed);
  const { records, steps, rank, peak } = preTraining;
  const settings = {
    baseModel: null,
    rank,
    alpha: rank,
    isRankStabilized: false,
    targetModules: seven,
    seed,
  };
  const { adapter } = await train(random, initialAdapter(decodeConfig(config), settings), {
    examples: drawSimple(records, pcg32(seed, 1n)).map(exampleOf),
    schedule: { kind: "cosine", peak, warmupSteps: 20, stepsMax: steps },
    rowTokens: 64,
    rowCount: 16,
    runsPerStep: 1,
    seed,
  });
  await rm(trained, { recursive: true, force: true });
  await mergeAndSave(random, adapter, trained);
  return trained;
}

async function writeRandomModel(folder: string, seed: bigint): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  await writeFile(join(folder, "tokenizer.json"), "{}");
  await writeFile(join(folder, "tokenizer_config.json"), "{}");
  const tensors = [...expectedTensors(decodeConfig(config))].map(([name, shape], index) => {
    const count = shape.reduce((product, dim) => product * dim, 1);
    const read = () => new Uint8Array(randomValues(count, shape, pcg32(seed, BigInt(100 + index))).buffer);
    return { name, dtype: "F32", shape, bytes: count * 4, read };
  });
  await writeSafetensors(join(folder, "model.safetensors"), tensors);
}

/** Uniform with variance 1 / in for matrices, 1 for norms. */
function randomValues(count: number, shape: readonly number[], next: () => number): Float32Array {
  if (shape.length === 1) return new Float32Array(count).fill(1);
  const bound = Math.sqrt(3 / shape[1]!);
  return Float32Array.from({ length: count }, () => (next() / 2 ** 31 - 1) * bound);
}
