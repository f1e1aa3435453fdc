/** Llama models with random weights, and adapters for them, in a folder that both sides read. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expectedTensors } from "#runtime/decoder/description";
import { decodeConfig } from "#runtime/families/config";
import { type Adapter, initialAdapter, writeAdapter } from "#runtime/index";
import { pcg32 } from "#runtime/inference/sampler";
import { writeSafetensors } from "#runtime/weights/safetensors-writer";

export const seven = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

export const vocabularySize = 4096;

/** 2 layers of 64 for devices made of software, 4 layers of 256, and 8 layers of 1024 (107 million weights). */
export const sizes = {
  nano: {
    hidden_size: 64,
    intermediate_size: 160,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
  },
  tiny: {
    hidden_size: 256,
    intermediate_size: 688,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
  },
  mid: {
    hidden_size: 1024,
    intermediate_size: 2752,
    num_hidden_layers: 8,
    num_attention_heads: 16,
    num_key_value_heads: 8,
  },
} as const;

export async function writeModel(folder: string, size: keyof typeof sizes): Promise<void> {
  await mkdir(folder, { recursive: true });
  const config = {
    model_type: "llama",
    vocab_size: vocabularySize,
    max_position_embeddings: 1024,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    tie_word_embeddings: false,
    ...sizes[size],
  };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  await writeFile(join(folder, "tokenizer.json"), "{}");
  await writeFile(join(folder, "tokenizer_config.json"), "{}");
  const tensors = [...expectedTensors(decodeConfig(config))].map(([name, shape], index) => {
    const count = shape.reduce((product, dim) => product * dim, 1);
    const read = () => new Uint8Array(randomValues(count, shape, index).buffer);
    return { name, dtype: "F32", shape, bytes: count * 4, read };
  });
  await writeSafetensors(join(folder, "model.safetensors"), tensors);
}

/** Adapters of rank 8 that change the given modules, each written as a PEFT folder `<folder>/<index>`. */
export async function writeAdapters(
  folder: string,
  model: string,
  count: number,
  targetModules: string[],
): Promise<Adapter[]> {
  const decoder = decodeConfig(JSON.parse(await readFile(join(model, "config.json"), "utf8")));
  await mkdir(folder, { recursive: true });
  const adapters: Adapter[] = [];
  for (let index = 0; index < count; index++) {
    const settings = {
      baseModel: null,
      rank: 8,
      alpha: 16,
      isRankStabilized: false,
      seed: BigInt(index + 1),
    };
    const adapter = initialAdapter(decoder, { ...settings, targetModules });
    const next = pcg32(BigInt(index + 1), 7n);
    for (const { b } of adapter.modules.values()) {
      for (let at = 0; at < b.length; at++) b[at] = (next() / 2 ** 32 - 0.5) * 0.02;
    }
    await writeAdapter(join(folder, String(index)), adapter);
    adapters.push(adapter);
  }
  return adapters;
}

/** Token ids below 4096. */
export function randomTokens(count: number): number[] {
  const next = pcg32(7n);
  return Array.from({ length: count }, () => next() % 4096);
}

/** Uniform with variance 1 / in for matrices, 1 for norms. A xorshift: there are many. */
function randomValues(count: number, shape: readonly number[], seed: number): Float32Array {
  const values = new Float32Array(count).fill(1);
  if (shape.length === 1) return values;
  const bound = Math.sqrt(3 / shape[1]!);
  let state = (seed + 1) * 2_654_435_761;
  for (let index = 0; index < count; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[index] = (state / 2 ** 31) * bound;
  }
  return values;
}
