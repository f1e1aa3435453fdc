import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { excerpt, ModelRuntimeError } from "#runtime/errors";
import { isObject } from "#runtime/request";
import { configLimits, ModelFolderError, readJson } from "#runtime/weights/json-file";
import { resolveFile, resolveFolder } from "#runtime/weights/model-files";
import { readTokenizerFiles } from "#runtime/weights/model-folder";
import { createByteFallbackDecoder } from "./byte-fallback.ts";
import { withoutSlowPatterns } from "./patterns.ts";
import type { TextPart } from "./prompt.ts";
import { createSplitter } from "./special-splitter.ts";
import { findUnsafeStep } from "./steps.ts";

/** Most characters encoded in one call: hundreds of times the longest context, and some hundred MB of work. */
export const textCharactersMax = 1_000_000;

/** Most characters decoded in one call. */
const decodedCharactersMax = 16 * textCharactersMax;

/** Longest token and longest pair that is merged, in characters. Published ones have some hundreds. */
const tokenCharactersMax = 1024;

/** Most added tokens, special or not, the longest, and all together, in characters. Gemma 3 has 6,415 short ones. */
const addedTokenCountMax = 16_384;
const addedTokenCharactersMax = 256;
const addedCharactersMax = 262_144;

/** Text to token ids and back, as the model's tokenizer.json defines. */
export interface Tokenizer {
  /**
   * Token ids of text or of prompt parts, in order, nothing added. Only `special` parts give special
   * tokens: text that spells one, such as a passage containing `<|end|>`, is encoded as plain characters.
   * @throws TokenizerError for an unknown special token, too much text, or text that gives no ids at all.
   */
  encode(parts: string | readonly TextPart[]): number[];
  /** Text of token ids, special tokens left out, spaces exactly as generated. Broken UTF-8 becomes U+FFFD. */
  decode(tokenIds: readonly number[]): string;
  /**
   * Parts of text whose author is trusted to write special tokens, as a chat template's is: each spelling of one
   * becomes that token, the longest where several start, and takes the white space beside it that its entry says.
   */
  split(text: string): TextPart[];
  /** Spellings of all special tokens. */
  readonly specialSpellings: readonly string[];
  /** @throws TokenizerError if there is no such special token. */
  specialTokenId(spelling: string): number;
  /** The end-of-sequence tokens named by tokenizer_config.json and generation_config.json, or none. */
  readonly stopTokenIds: readonly number[];
}

const addedToken = z.looseObject({
  id: z.int().min(0),
  content: z.string().min(1),
  special: z.boolean().default(true),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
});
/** What is put behind words or their parts; no family's tokenizer uses either. */
const suffix = z.string().max(16).nullish();
const tokenizerFile = z.looseObject({
  added_tokens: z.array(addedToken).max(addedTokenCountMax).default([]),
  model: z.looseObject({
    // Files of GPT-2's time name no type. Others of the library take time or memory beyond any measure.
    type: z.literal("BPE").default("BPE"),
    vocab: z.record(z.string(), z.int().min(0)),
    merges: z.array(z.unknown()),
    unk_token: z.string().nullish(),
    end_of_word_suffix: suffix,
    continuing_subword_suffix: suffix,
  }),
});
const generationFile = z.looseObject({
  eos_token_id: z.union([z.int().min(0), z.array(z.int().min(0)).max(64)]).nullish(),
});
const configFile = z.looseObject({
  eos_token: z.union([z.string(), z.looseObject({ content: z.string() })]).nullish(),
});

/**
 * Read the tokenizer of a model folder.
 * @throws ModelFolderError if its files are missing or not JSON; TokenizerError if they make no tokenizer.
 */
export async function readTokenizer(folder: string): Promise<Tokenizer> {
  const files = await readTokenizerFiles(folder);
  const tokenizer = createTokenizer(files.tokenizerJson, files.tokenizerConfig);
  const generation = parse(
    generationFile,
    "generation_config.json",
    (await readGenerationConfig(folder)) ?? {},
  );
  const ends = [generation.eos_token_id ?? []].flat();
  return { ...tokenizer, stopTokenIds: [...new Set([...tokenizer.stopTokenIds, ...ends])] };
}

/** The generation_config.json of a folder, which need not have one. */
async function readGenerationConfig(folder: string): Promise<unknown> {
  try {
    const path = await resolveFile(await resolveFolder(folder), "generation_config.json");
    return await readJson(path, configLimits);
  } catch (error) {
    if (error instanceof ModelFolderError && error.code === "model-file-missing") return undefined;
    throw error;
  }
}

/** A tokenizer from the parsed tokenizer.json and tokenizer_config.json. */
export function createTokenizer(tokenizerJson: unknown, tokenizerConfig: unknown): Tokenizer {
  const file = parse(tokenizerFile, "tokenizer.json", tokenizerJson);
  const config = parse(configFile, "tokenizer_config.json", tokenizerConfig);
  checkFile(file);
  const specials = file.added_tokens.filter(({ special }) => special);
  const specialIds = new Map(specials.map(({ content, id }) => [content, id]));
  const bare = withoutSpecials(file, specialIds);
  const opening = construct(bare);
  const inner = hasOpening(file) ? construct(withoutOpening(bare)) : opening;
  const unknownId = specialIds.get(file.model.unk_token ?? "");

  const specialTokenId = (spelling: string): number => {
    const id = specialIds.get(spelling);
    if (id === undefined) throw new TokenizerError(`unknown special token ${JSON.stringify(spelling)}`);
    return id;
  };
  const stop = typeof config.eos_token === "string" ? config.eos_token : config.eos_token?.content;
  return {
    encode: (parts) => {
      const list = typeof parts === "string" ? [{ text: parts }] : parts;
      if (!Array.isArray(list) || !list.every(isPart))
        throw new TokenizerError("text, or a list of parts, is needed");
      return list.flatMap((part, index) =>
        "special" in part
          ? specialTokenId(part.special)
          : encodePlain(index === 0 ? opening : inner, part.text, unknownId),
      );
    },
    decode: createDecoder(file, specialIds),
    split: createSplitter(specials),
    specialSpellings: [...specialIds.keys()],
    specialTokenId,
    stopTokenIds: stop === undefined ? [] : [specialTokenId(stop)],
  };
}

function isPart(part: unknown): boolean {
  if (!isObject(part)) return false;
  return typeof ("special" in part ? part.special : "text" in part ? part.text : null) === "string";
}

function encodePlain(tokenizer: HuggingFaceTokenizer, text: string, unknownId: number | undefined): number[] {
  if (text.length > textCharactersMax) {
    throw new TokenizerError(
      `text is too long. Max: ${textCharactersMax} characters. Given: ${text.length} characters`,
    );
  }
  const { ids } = guarded("encode", () => tokenizer.encode(text, { add_special_tokens: false }));
  // The plain tokenizer has no special tokens, so it has no id for what only "unknown" stands for.
  const known = (ids as (number | undefined)[]).map((id) => id ?? unknownId);
  if (known.includes(undefined) || (ids.length === 0 && text.length > 0)) {
    throw new TokenizerError(`no token spells any of the ${text.length} characters given`);
  }
  return known as number[];
}

/** A file can be well formed and still break the library when it is used. */
function guarded<Result>(what: string, work: () => Result): Result {
  try {
    return work();
  } catch (cause) {
    throw new TokenizerError(`cannot ${what}: ${messageOf(cause)}`, cause);
  }
}

/** What the library says; it quotes whatever the file holds. */
function messageOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).slice(0, 200);
}

/** @throws TokenizerError for steps that must not run, and tokens too long to be any. */
function checkFile(file: z.infer<typeof tokenizerFile>): void {
  const reason = findUnsafeStep(file);
  if (reason !== undefined) throw new TokenizerError(`tokenizer.json: ${reason}`);
  for (const token of Object.keys(file.model.vocab)) checkLength("token", token, tokenCharactersMax);
  for (const merge of file.model.merges) checkLength("merge", spellMerge(merge), tokenCharactersMax);
  let characters = 0;
  for (const { content } of file.added_tokens) {
    checkLength("added token", content, addedTokenCharactersMax);
    characters += content.length;
  }
  if (characters > addedCharactersMax) {
    const limits = `Max: ${addedCharactersMax} characters. Given: ${characters} characters`;
    throw new TokenizerError(`tokenizer.json: the added tokens are too long together. ${limits}`);
  }
}

/** Both sides of a merge: "a b", or ["a", "b"]. */
function spellMerge(merge: unknown): string {
  const isPair =
    Array.isArray(merge) && merge.length === 2 && merge.every((side) => typeof side === "string");
  const text = isPair ? merge.join(" ") : merge;
  if (typeof text === "string" && text.includes(" ")) return text;
  throw new TokenizerError(`tokenizer.json: ${excerpt(merge)} is no merge of two tokens`);
}

function checkLength(what: string, text: string, charactersMax: number): void {
  if (text.length <= charactersMax) return;
  const limits = `Max: ${charactersMax} characters. Given: ${text.length} characters`;
  throw new TokenizerError(
    `tokenizer.json: the ${what} ${excerpt(text.slice(0, 20))}… is too long. ${limits}`,
  );
}

/**
 * The same tokenizer without its special tokens. Trainers list them in the vocabulary too, where a
 * whole-word lookup could find them, so they are taken out there as well; other ids stay as they are.
 */
function withoutSpecials(file: z.infer<typeof tokenizerFile>, specialIds: ReadonlyMap<string, number>) {
  const vocab = Object.fromEntries(
    Object.entries(file.model.vocab).filter(([token]) => !specialIds.has(token)),
  );
  const added_tokens = file.added_tokens.filter(({ content }) => !specialIds.has(content));
  const pre_tokenizer = withoutSlowPatterns(file.pre_tokenizer);
  // What a post-processor adds is asked for by name, in parts of a prompt.
  return { ...file, pre_tokenizer, post_processor: null, added_tokens, model: { ...file.model, vocab } };
}

/** Text of token ids without special tokens. Ids that no token has give nothing. */
function createDecoder(
  file: z.infer<typeof tokenizerFile>,
  specialIds: ReadonlyMap<string, number>,
): (tokenIds: readonly number[]) => string {
  const tokens = new Map(Object.entries(file.model.vocab).map(([token, id]) => [id, token]));
  for (const { id, content } of file.added_tokens) tokens.set(id, content);
  for (const id of specialIds.values()) tokens.delete(id);
  const join = createByteFallbackDecoder(file.decoder);
  const library = join ? undefined : construct({ ...file, post_processor: null });
  return (tokenIds) => {
    if (!Array.isArray(tokenIds)) throw new TokenizerError("a list of token ids is needed");
    const known = tokenIds.filter((id) => tokens.has(id));
    const spellings = known.map((id) => tokens.get(id) ?? "");
    const characters = spellings.reduce((sum, { length }) => sum + length, 0);
    if (characters > decodedCharactersMax) {
      throw new TokenizerError(
        `there is too much to decode. Max: ${decodedCharactersMax} characters. Given: ${characters} characters`,
      );
    }
    if (known.length === 0) return "";
    return guarded("decode", () => join?.(spellings) ?? library?.decode(known) ?? "");
  };
}

/** Whether the first text of a sequence is treated otherwise than those after a special token. */
function hasOpening(file: object): boolean {
  return JSON.stringify("pre_tokenizer" in file ? file.pre_tokenizer : null).includes(
    '"prepend_scheme":"first"',
  );
}

/** The same tokenizer for text after a special token: nothing is put before it. */
function withoutOpening(file: object): object {
  const steps = JSON.stringify("pre_tokenizer" in file ? file.pre_tokenizer : null);
  const never = steps.replaceAll('"prepend_scheme":"first"', '"prepend_scheme":"never"');
  return { ...file, pre_tokenizer: JSON.parse(never) };
}

function construct(json: object): HuggingFaceTokenizer {
  try {
    return new HuggingFaceTokenizer(json, { clean_up_tokenization_spaces: false });
  } catch (cause) {
    throw new TokenizerError(`tokenizer.json is not usable: ${messageOf(cause)}`, cause);
  }
}

function parse<Schema extends z.ZodType>(schema: Schema, name: string, json: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new TokenizerError(`${name}: ${issue?.path.join(".")}: ${issue?.message}`, parsed.error);
}

/** Tokenizer files that cannot be used, or text they cannot encode. */
export class TokenizerError extends ModelRuntimeError {
  constructor(reason: string, cause?: unknown) {
    super("tokenizer-failed", `Tokenizer: ${reason}.`, { cause });
  }
}
