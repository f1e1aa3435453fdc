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
 * Open the chat template of a model or adapter folder: chat_template.jinja, or else `chat_template` of
 * tokenizer_config.json; of several named ones `tool_use` where tools are given, `default` otherwise.
 * @throws ChatTemplateError `template-missing` if there is none; ModelFolderError for its files.
 */
export async function openChatTemplate(folder: string): Promise<ChatTemplate> {
  const path = await resolveFolder(folder);
  const config = await readJson(await resolveFile(path, "tokenizer_config.json"), configLimits);
  return createChatTemplate(config, await readOwnFile(path));
}

/** A chat template from the parsed tokenizer_config.json, and the text of chat_template.jinja if there is one. */
export function createChatTemplate(tokenizerConfig: unknown, ownFile?: string): ChatTemplate {
  const parsed = configFile.safeParse(tokenizerConfig);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ChatTemplateError(
      "template-invalid",
      `tokenizer_config.json: ${issue?.path.join(".")}: ${issue?.message}`,
    );
  }
  const choose = chooseTemplate(ownFile ?? parsed.data.chat_template ?? undefined);
  const specialTokens = specialTokensOf(parsed.data);
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

function chooseTemplate(
  templates: string | { name: string; template: string }[] | undefined,
): (chat: Chat) => string {
  const named =
    typeof templates === "string" ? [{ name: "default", template: templates }] : (templates ?? []);
  const byName = new Map(named.map(({ name, template }) => [name, template]));
  const usual = byName.get("default");
  if (usual === undefined) throw new ChatTemplateError("template-missing", "the model has none");
  const longest = Math.max(...named.map(({ template }) => template.length));
  if (longest > templateCharactersMax) {
    const limits = `Max: ${templateCharactersMax} characters. Given: ${longest} characters`;
    throw new ChatTemplateError("template-invalid", `the template is too long. ${limits}`);
  }
  return ({ tools }) => (tools?.length ? (byName.get("tool_use") ?? usual) : usual);
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
  if (!Array.isArray(variables.messages) || variables.messages.length === 0) {
    throw new ChatTemplateError("template-invalid", "there are no messages");
  }
  if (json.length > chatCharactersMax) {
    const limits = `Max: ${chatCharactersMax} characters. Given: ${json.length} characters`;
    throw new ChatTemplateError("template-invalid", `the conversation is too long. ${limits}`);
  }
  return JSON.parse(json);
}

async function readOwnFile(folder: string): Promise<string | undefined> {
  try {
    const path = await resolveFile(folder, "chat_template.jinja");
    const { size } = await stat(path);
    if (size > 4 * templateCharactersMax) {
      throw new ChatTemplateError("template-invalid", `chat_template.jinja has ${size} bytes`);
    }
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof ModelFolderError && error.code === "model-file-missing") return undefined;
    throw error;
  }
}
