import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { ModelRuntimeError } from "#runtime/errors";
import { readTokenizerFiles } from "#runtime/weights/model-folder";
import { findUnknownPattern } from "./patterns.ts";
import type { TextPart } from "./prompt.ts";

/** Most characters encoded in one call. */
export const textCharactersMax = 4_000_000;

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
  /** The end-of-sequence token named by tokenizer_config.json, or none. */
  readonly stopTokenIds: readonly number[];
}

const addedToken = z.looseObject({
  id: z.int().min(0),
  content: z.string().min(1),
  special: z.boolean().default(true),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
});
const tokenizerFile = z.looseObject({
  added_tokens: z.array(addedToken).default([]),
  model: z.looseObject({ vocab: z.record(z.string(), z.int().min(0)) }),
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
  return createTokenizer(files.tokenizerJson, files.tokenizerConfig);
}

/** A tokenizer from the parsed tokenizer.json and tokenizer_config.json. */
export function createTokenizer(tokenizerJson: unknown, tokenizerConfig: unknown): Tokenizer {
  const file = parse(tokenizerFile, "tokenizer.json", tokenizerJson);
  const config = parse(configFile, "tokenizer_config.json", tokenizerConfig);
  checkPatterns(file);
  const specials = file.added_tokens.filter(({ special }) => special);
  const specialIds = new Map(specials.map(({ content, id }) => [content, id]));
  const settings = { ...config, clean_up_tokenization_spaces: false };
  const whole = construct(file, settings);
  const plain = construct(withoutSpecials(file, specialIds), settings);

  const specialTokenId = (spelling: string): number => {
    const id = specialIds.get(spelling);
    if (id === undefined) throw new TokenizerError(`unknown special token ${JSON.stringify(spelling)}`);
    return id;
  };
  const stop = typeof config.eos_token === "string" ? config.eos_token : config.eos_token?.content;
  return {
    encode: (parts) => {
      const list = typeof parts === "string" ? [{ text: parts }] : parts;
      return list.flatMap((part) =>
        "special" in part ? specialTokenId(part.special) : encodePlain(plain, part.text),
      );
    },
    decode: (tokenIds) =>
      tokenIds.length === 0 ? "" : whole.decode([...tokenIds], { skip_special_tokens: true }),
    split: createSplitter(specials),
    specialSpellings: [...specialIds.keys()],
    specialTokenId,
    stopTokenIds: stop === undefined ? [] : [specialTokenId(stop)],
  };
}

/** Text as a regular expression that matches it alone. */
function escapeExpression(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

function encodePlain(tokenizer: HuggingFaceTokenizer, text: string): number[] {
  if (text.length > textCharactersMax) {
    throw new TokenizerError(
      `text is too long. Max: ${textCharactersMax} characters. Given: ${text.length} characters`,
    );
  }
  const { ids } = tokenizer.encode(text, { add_special_tokens: false });
  if (ids.length === 0 && text.length > 0) {
    throw new TokenizerError(`no token spells any of the ${text.length} characters given`);
  }
  return ids;
}

/** @throws TokenizerError naming the first pattern of the file's steps that is not one we know. */
function checkPatterns({
  normalizer,
  pre_tokenizer,
  decoder,
  post_processor,
}: Record<string, unknown>): void {
  const pattern = findUnknownPattern([normalizer, pre_tokenizer, decoder, post_processor]);
  if (pattern === undefined) return;
  throw new TokenizerError(`tokenizer.json: the pattern ${pattern} is not one of the known tokenizers'`);
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
  return { ...file, added_tokens, model: { ...file.model, vocab } };
}

/** A function that finds the spellings of special tokens, leftmost and longest first. */
function createSplitter(specials: readonly z.infer<typeof addedToken>[]): (text: string) => TextPart[] {
  const bySpelling = new Map(specials.map((entry) => [entry.content, entry]));
  const alternatives = [...bySpelling.keys()].toSorted((a, b) => b.length - a.length).map(escapeExpression);
  const expression = new RegExp(alternatives.length === 0 ? "(?!)" : `(${alternatives.join("|")})`, "u");
  return (text) => {
    const pieces = text.split(expression);
    return pieces.flatMap((piece, index): TextPart[] => {
      if (index % 2 === 1) return [{ special: piece }];
      const from = bySpelling.get(pieces[index - 1] ?? "")?.rstrip ? piece.trimStart() : piece;
      const trimmed = bySpelling.get(pieces[index + 1] ?? "")?.lstrip ? from.trimEnd() : from;
      return trimmed === "" ? [] : [{ text: trimmed }];
    });
  };
}

function construct(json: object, config: object): HuggingFaceTokenizer {
  try {
    return new HuggingFaceTokenizer(json, config);
  } catch (cause) {
    throw new TokenizerError(
      `tokenizer.json is not usable: ${cause instanceof Error ? cause.message : cause}`,
      cause,
    );
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
