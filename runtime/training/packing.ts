import { excerpt, invariant, ModelRuntimeError } from "#runtime/errors";
import { pcg32 } from "#runtime/inference/sampler";
import { check, isObject, strayIndex } from "#runtime/request";

/** One document to learn from. Tokens from `answerFrom` on are learned; those before are only read. */
export interface Example {
  readonly tokenIds: readonly number[];
  /** Index of the first learned token, at least 1. */
  readonly answerFrom: number;
}

/** Rows of `rowTokens` tokens that share one run of the graph, as plain numbers; see `trainGraph`. */
export interface Batch {
  readonly rowCount: number;
  readonly rowTokens: number;
  /** [rowCount · rowTokens], 0 where nothing stands. */
  readonly tokenIds: readonly number[];
  /** Index of each token in its document. */
  readonly positions: readonly number[];
  /** Document of each token within its row, from 1; 0 where nothing stands. */
  readonly segments: readonly number[];
  /** Rows of the flat batch that predict a learned token, and that token. */
  readonly targetRows: readonly number[];
  readonly targetIds: readonly number[];
}

/**
 * Check examples against a model and a row; `list` is the option they were given as.
 * @throws InvalidRequestError if they are no list; ExampleError naming the first that is too long, has nothing to
 * learn, or a stray token.
 */
export function checkExamples(
  examples: readonly Example[],
  rowTokens: number,
  vocabularySize: number,
  list: ExampleList = "examples",
): void {
  check(Array.isArray(examples), list, "a list of examples", examples);
  // By index, so that holes are looked at too.
  for (let index = 0; index < examples.length; index++) {
    const reason = flawOf(examples[index], rowTokens, vocabularySize);
    if (reason !== null) throw new ExampleError(list, index, reason);
  }
}

function flawOf(example: Example | undefined, rowTokens: number, vocabularySize: number): string | null {
  if (!isObject(example) || !Array.isArray(example.tokenIds)) return "is no list of token ids";
  const { tokenIds, answerFrom } = example;
  const { length } = tokenIds;
  if (length > rowTokens) return `is too long. Max: ${rowTokens} tokens. Given: ${length} tokens`;
  if (!Number.isInteger(answerFrom) || answerFrom < 1 || answerFrom >= length)
    return `has nothing to learn from token ${excerpt(answerFrom)} of ${length}`;
  const stray = strayIndex(tokenIds, vocabularySize);
  return stray < 0 ? null : `has token ${excerpt(tokenIds[stray])}; ids are below ${vocabularySize}`;
}

/**
 * The batches of one pass over the examples, in an order that follows from `seed` and `epoch` alone.
 * Documents are packed into rows, each into the first with room, so that little is padding; the graph keeps
 * them apart by their segments. The last batch may have fewer rows.
 */
export function packEpoch(
  examples: readonly Example[],
  size: { readonly rowTokens: number; readonly rowCount: number },
  seed: bigint,
  epoch: number,
): Batch[] {
  const rows = packRows(shuffled(examples, seed, epoch), size.rowTokens);
  return Array.from({ length: Math.ceil(rows.length / size.rowCount) }, (_, index) =>
    toBatch(rows.slice(index * size.rowCount, (index + 1) * size.rowCount), size.rowTokens),
  );
}

/** The same examples in order, one pass: for evaluation. */
export function packInOrder(
  examples: readonly Example[],
  size: { readonly rowTokens: number; readonly rowCount: number },
): Batch[] {
  const rows = packRows(examples, size.rowTokens);
  return Array.from({ length: Math.ceil(rows.length / size.rowCount) }, (_, index) =>
    toBatch(rows.slice(index * size.rowCount, (index + 1) * size.rowCount), size.rowTokens),
  );
}

/** Rows that are looked at for room: what does not fit in the newest of them opens another. */
const openRowsMax = 16;

function packRows(examples: readonly Example[], rowTokens: number): Example[][] {
  const rows: { examples: Example[]; tokens: number }[] = [];
  for (const example of examples) {
    const length = example.tokenIds.length;
    const row = rows.slice(-openRowsMax).find(({ tokens }) => tokens + length <= rowTokens);
    if (row) {
      row.examples.push(example);
      row.tokens += length;
    } else {
      rows.push({ examples: [example], tokens: length });
    }
  }
  return rows.map(({ examples: packed }) => packed);
}

function toBatch(rows: readonly (readonly Example[])[], rowTokens: number): Batch {
  const tokenIds = new Array<number>(rows.length * rowTokens).fill(0);
  const positions = [...tokenIds];
  const segments = [...tokenIds];
  const targetRows: number[] = [];
  const targetIds: number[] = [];
  rows.forEach((examples, row) => {
    let at = row * rowTokens;
    examples.forEach((example, segment) => {
      example.tokenIds.forEach((tokenId, position) => {
        tokenIds[at + position] = tokenId;
        positions[at + position] = position;
        segments[at + position] = segment + 1;
        if (position < example.answerFrom) return;
        targetRows.push(at + position - 1);
        targetIds.push(tokenId);
      });
      at += example.tokenIds.length;
    });
    invariant(at <= (row + 1) * rowTokens, "documents of a row fit in it");
  });
  return { rowCount: rows.length, rowTokens, tokenIds, positions, segments, targetRows, targetIds };
}

/** Fisher–Yates with the generator of the sampler; the stream is the epoch. */
function shuffled(examples: readonly Example[], seed: bigint, epoch: number): Example[] {
  const next = pcg32(seed, BigInt(epoch));
  const order = [...examples];
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor((next() / 2 ** 32) * (last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}

/** Examples to learn from, or those that only evaluate. */
export type ExampleList = "examples" | "evaluationExamples";

/** An example that cannot be learned from, or evaluated. `index` counts from 0 in the `list` that holds it. */
export class ExampleError extends ModelRuntimeError {
  readonly list: ExampleList;
  readonly index: number;

  constructor(list: ExampleList, index: number, reason: string) {
    super("example-invalid", `${list === "examples" ? "Example" : "Evaluation example"} ${index} ${reason}.`);
    this.list = list;
    this.index = index;
  }
}
