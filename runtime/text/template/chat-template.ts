import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import type { Tokenizer } from "#runtime/text/tokenizer";
import { configLimits, ModelFolderError, readJson } from "#runtime/weights/json-file";
import { resolveFile, resolveFolder } from "#runtime/weights/model-files";
import { guardSpecials, unguardParts } from "./guard.ts";
import { ChatTemplateError, createTemplateRenderer } from "./renderer.ts";

/** Longest template, in characters. Published ones have up to about 20,000. */
export const templateCharactersMax = 1_000_000;

/** Most JSON characters of messages, tools and documents together. */
export const chatCharactersMax = 8_000_000;

/** Deepest nesting of messages, tools and documents. The JSON schemas of tools go a dozen levels deep. */
export const chatDepthMax = 128;

/** A conversation to be put into the model's own form. Plain JSON data; the template decides what it reads. */
export interface Chat {
  /** Usually `{ role, content }`, with `tool_calls` and others as OpenAI's API has them. */
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  readonly tools?: readonly Readonly<Record<string, unknown>>[] | undefined;
  readonly documents?: readonly Readonly<Record<string, unknown>>[] | undefined;
  /** End where the answer begins, so that the model answers. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Other variables that this template knows, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** What time it is, for templates that tell the model. */
  readonly now?: Date | undefined;
}

/** The chat template of a model, run in a worker thread of its own from its first use on. Close it when done. */
export interface ChatTemplate extends AsyncDisposable {
  /** SHA-256 of the template's text, all of them where there are several: what a model was trained with. */
  readonly hash: `0x${string}`;
  /** Text as `apply_chat_template(tokenize=False)` of transformers gives it. @throws ChatTemplateError. */
  render(chat: Chat): Promise<string>;
  /**
   * Token ids of the rendered text, nothing added. Only what the template itself writes becomes special tokens:
   * text of messages, tools and documents that spells one is encoded as plain characters.
   * @throws ChatTemplateError; TokenizerError.
   */
  encode(chat: Chat, tokenizer: Tokenizer): Promise<number[]>;
  close(): Promise<void>;
}

const tokenNames = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;
const token = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish();
const configFile = z.looseObject({
  chat_template: z
    .union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() })).max(100)])
    .nullish(),
  ...(Object.fromEntries(tokenNames.map((name) => [name, token])) as Record<
    (typeof tokenNames)[number],
    typeof token
  >),
});

/**
 * Open the chat template of the first of these folders that has one, an adapter's own before its base's:
 * chat_template.jinja, or else `chat_template` of tokenizer_config.json; of several named ones `tool_use` where
 * tools are given, `default` otherwise. Special tokens are those of the first tokenizer_config.json.
 * @throws ChatTemplateError `template-missing` if no folder has one; ModelFolderError for the files.
 */
export async function openChatTemplate(...folders: readonly [string, ...string[]]): Promise<ChatTemplate> {
  const found = await Promise.all(folders.map(readTemplateFiles));
  const own = found.find(({ config, ownFile }) => ownFile !== undefined || hasTemplate(config));
  if (own === undefined) throw new ChatTemplateError("template-missing", "the model has none");
  const tokens = found.find(({ config }) => config !== undefined);
  return createChatTemplate(own.config ?? {}, own.ownFile, tokens?.config ?? {});
}

async function readTemplateFiles(folder: string): Promise<{ config: unknown; ownFile: string | undefined }> {
  const path = await resolveFolder(folder);
  const config = await ifPresent(async () =>
    readJson(await resolveFile(path, "tokenizer_config.json"), configLimits),
  );
  return { config, ownFile: await ifPresent(() => readOwnFile(path)) };
}

/**
 * A chat template from the parsed tokenizer_config.json, and the text of chat_template.jinja if there is one;
 * special tokens from another tokenizer_config.json if one is given.
 */
export function createChatTemplate(
  tokenizerConfig: unknown,
  ownFile?: string,
  tokensConfig: unknown = tokenizerConfig,
): ChatTemplate {
  const templates = namedTemplates(ownFile ?? parseConfig(tokenizerConfig).chat_template ?? []);
  const choose = chooserOf(templates);
  const specialTokens = specialTokensOf(parseConfig(tokensConfig));
  const renderer = createTemplateRenderer();
  const render = (chat: Chat): Promise<string> => {
    const { tools, documents, addGenerationPrompt = false, variables, now = new Date() } = chat;
    const given = {
      tools: tools ?? null,
      documents: documents ?? null,
      add_generation_prompt: addGenerationPrompt,
    };
    return renderer.render({
      template: choose(chat),
      variables: { ...specialTokens, ...checkChat({ ...variables, ...given, messages: chat.messages }) },
      nowMs: now.getTime(),
    });
  };
  return {
    hash: hashTemplates(templates),
    render: async (chat) => render(chat),
    encode: async (chat, tokenizer) => {
      checkChat({ messages: chat.messages, tools: chat.tools, documents: chat.documents });
      const guarding = guardSpecials(chat, tokenizer.specialSpellings);
      if (!guarding)
        throw new ChatTemplateError("template-invalid", "the messages use all private characters");
      const parts = tokenizer.split(await render(guarding.guarded));
      return tokenizer.encode(unguardParts(parts, guarding.guards));
    },
    close: () => renderer.close(),
    [Symbol.asyncDispose]: () => renderer.close(),
  };
}

function parseConfig(json: unknown): z.infer<typeof configFile> {
  const parsed = configFile.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const reason = `tokenizer_config.json: ${issue?.path.join(".")}: ${issue?.message}`;
  throw new ChatTemplateError("template-invalid", reason);
}

/** @throws ChatTemplateError if there is no default one, or one is too long. */
function namedTemplates(given: string | { name: string; template: string }[]): ReadonlyMap<string, string> {
  const named = typeof given === "string" ? [{ name: "default", template: given }] : given;
  const longest = Math.max(0, ...named.map(({ template }) => template.length));
  if (longest > templateCharactersMax) {
    const limits = `Max: ${templateCharactersMax} characters. Given: ${longest} characters`;
    throw new ChatTemplateError("template-invalid", `the template is too long. ${limits}`);
  }
  const byName = new Map(named.map(({ name, template }) => [name, template]));
  if (!byName.has("default")) throw new ChatTemplateError("template-missing", "the model has none");
  return byName;
}

function chooserOf(templates: ReadonlyMap<string, string>): (chat: Chat) => string {
  const usual = templates.get("default") ?? "";
  return ({ tools }) => (tools?.length ? (templates.get("tool_use") ?? usual) : usual);
}

function hashTemplates(templates: ReadonlyMap<string, string>): `0x${string}` {
  const [first] = templates.values();
  const text = templates.size === 1 ? (first ?? "") : JSON.stringify([...templates].toSorted());
  return `0x${createHash("sha256").update(text).digest("hex")}`;
}

/** Names that templates know the special tokens by, as transformers passes them: those that the file sets. */
function specialTokensOf(config: z.infer<typeof configFile>): Record<string, string> {
  const tokens = tokenNames.flatMap((name) => {
    const value = config[name];
    const text = typeof value === "string" ? value : value?.content;
    return text === undefined ? [] : [[name, text] as const];
  });
  return Object.fromEntries(tokens);
}

/** Only JSON goes to the worker, so that a template meets no object with behaviour. */
function checkChat(variables: Record<string, unknown>): Record<string, unknown> {
  let json: string;
  try {
    json = JSON.stringify(variables);
  } catch (cause) {
    throw new ChatTemplateError("template-invalid", "messages, tools and documents must be JSON", cause);
  }
  if (depthOf(json) > chatDepthMax) {
    throw new ChatTemplateError(
      "template-invalid",
      `the conversation is nested too deeply. Max: ${chatDepthMax} levels`,
    );
  }
  if (!Array.isArray(variables.messages) || variables.messages.length === 0) {
    throw new ChatTemplateError("template-invalid", "there are no messages");
  }
  if (json.length > chatCharactersMax) {
    const limits = `Max: ${chatCharactersMax} characters. Given: ${json.length} characters`;
    throw new ChatTemplateError("template-invalid", `the conversation is too long. ${limits}`);
  }
  return JSON.parse(json);
}

/** Most brackets open at once in JSON text. */
function depthOf(json: string): number {
  let [depth, deepest] = [0, 0];
  for (const [mark] of json.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (mark === "[" || mark === "{") deepest = Math.max(deepest, ++depth);
    else if (mark === "]" || mark === "}") depth--;
  }
  return deepest;
}

function hasTemplate(config: unknown): boolean {
  return (
    typeof config === "object" &&
    config !== null &&
    "chat_template" in config &&
    config.chat_template !== null
  );
}

async function readOwnFile(folder: string): Promise<string> {
  const path = await resolveFile(folder, "chat_template.jinja");
  const { size } = await stat(path);
  if (size > 4 * templateCharactersMax) {
    throw new ChatTemplateError("template-invalid", `chat_template.jinja has ${size} bytes`);
  }
  return readFile(path, "utf8");
}

/** What a file holds, or undefined if there is no such file. */
async function ifPresent<Content>(read: () => Promise<Content>): Promise<Content | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ModelFolderError && error.code === "model-file-missing") return undefined;
    throw error;
  }
}
