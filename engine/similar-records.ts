/**
 * The advice of embeddings, as a process: `<model folder>`. Standard input: a JSON line for each record, first those asked
 * about, then those registered before them, in the order of registration. Standard output: one JSON line of `Advice`. Nothing
 * but the model's table of embeddings and those asked about is in memory. Exit code 1 with a reason on standard error.
 */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Hex } from "viem";
import { hashArtifact, ModelRuntimeError, readModelFolder, readTokenizer } from "#runtime/index";
import { decodeFloats, isFloatType } from "#runtime/weights/float-bytes";
import { readTensorBytes } from "#runtime/weights/tensor-bytes";
import { PipelineError } from "#schema/errors";
import { type EmbeddingTable, embed, type Like, Likenesses, quantiseTable } from "./duplicates/embedding.ts";

/** A line of the input. */
export type GivenRecord = { id: string; text: string; isAsked: boolean };

/** What all who have the model's files are told. `likes`: for each record asked about, null where nothing is like it. */
export type Advice = { artifactHash: Hex; likes: (Like | null)[] };

/** Most bytes of a table of embeddings in float32, which is in memory beside its bytes. */
export const tableBytesMax = 2 * 1024 ** 3;

async function advise(folder: string, input: NodeJS.ReadableStream): Promise<Advice> {
  const [table, tokenizer] = [await readTable(folder), await readTokenizer(folder)];
  // Made where it is read at once: lines that come before are lost.
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  const asked: { id: string; embedding: Int32Array }[] = [];
  let likenesses: Likenesses | null = null;
  for await (const line of lines) {
    const { id, text, isAsked } = JSON.parse(line) as GivenRecord;
    const embedding = embed(table, tokenizer.encode(text));
    if (isAsked) {
      asked.push({ id, embedding });
      continue;
    }
    likenesses ??= new Likenesses(asked);
    likenesses.add(id, embedding);
  }
  const likes = (likenesses ?? new Likenesses(asked)).most();
  return { artifactHash: await hashArtifact(folder), likes };
}

/** @throws NoTableError where the weights are none of numbers, or too large. */
async function readTable(folder: string): Promise<EmbeddingTable> {
  const { config, files, tensors } = await readModelFolder(folder);
  const name = `${config.embedding.name}.weight`;
  const entry = tensors.get(name);
  if (entry === undefined || !isFloatType(entry.dtype))
    throw new NoTableError(name, "it is not kept as numbers");
  const bytes = 4 * config.vocabularySize * config.hiddenSize;
  if (bytes > tableBytesMax) throw new NoTableError(name, `it has ${bytes} bytes, at most ${tableBytesMax}`);
  const path = files.paths.get(entry.file) ?? join(files.folder, entry.file);
  const file = await open(path, "r");
  try {
    const values = decodeFloats(entry.dtype, await readTensorBytes(file, path, entry));
    return quantiseTable(values, config.hiddenSize);
  } finally {
    await file.close();
  }
}

class NoTableError extends PipelineError {
  override readonly name = "NoTableError";
  constructor(tensor: string, reason: string) {
    super(`the model's ${tensor} is no table of embeddings: ${reason}`, {
      code: "no_table",
      retryable: false,
    });
  }
}

try {
  console.log(JSON.stringify(await advise(process.argv[2] ?? "", process.stdin)));
} catch (error) {
  const isTold = error instanceof PipelineError || error instanceof ModelRuntimeError;
  console.error(isTold ? error.message : error);
  process.exitCode = 1;
}
