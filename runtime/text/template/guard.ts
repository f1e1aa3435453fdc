import type { TextPart } from "#runtime/text/prompt";
import { createFinder, type Finder } from "#runtime/text/special-splitter";
import type { Chat } from "./chat-template.ts";

/** Stand-ins in use: what each stands for, by the stand-in. */
export type Guards = ReadonlyMap<string, string>;

/** Characters for private use (U+E000 to U+F8FF), which no real text needs. */
const standIns = Array.from({ length: 6400 }, (_, index) => String.fromCharCode(0xe000 + index));

/**
 * The same chat, with the first character of every spelling of a special token replaced by a stand-in that the
 * chat does not have; after rendering, only what the template wrote still spells one. Null if the chat has them all.
 */
export function guardSpecials(
  chat: Chat,
  spellings: readonly string[],
): { guarded: Chat; guards: Guards } | null {
  const json = JSON.stringify([chat.messages, chat.tools, chat.documents]);
  const taken = new Set(json);
  const free = standIns.filter((standIn) => !taken.has(standIn));
  const firsts = [...new Set(spellings.map((spelling) => spelling.charAt(0)))];
  if (firsts.length > free.length) return null;
  const standInOf = new Map(firsts.map((first, index) => [first, free[index]!]));
  const longestAt = createFinder(spellings);
  const change = <Value>(value: Value): Value =>
    mapStrings(value, (text) => replaceFirsts(text, longestAt, standInOf)) as Value;
  const { messages, tools, documents } = chat;
  const guarded = { ...chat, messages: change(messages), tools: change(tools), documents: change(documents) };
  return { guarded, guards: new Map([...standInOf].map(([first, standIn]) => [standIn, first])) };
}

/** Text parts as they were meant. */
export function unguardParts(parts: readonly TextPart[], guards: Guards): TextPart[] {
  const restore = (text: string) =>
    text.replace(/[\uE000-\uF8FF]/g, (character) => guards.get(character) ?? character);
  return parts.map((part) => ("text" in part ? { text: restore(part.text) } : part));
}

/** Replace the first UTF-16 unit of every occurrence, overlapping ones too. */
function replaceFirsts(text: string, longestAt: Finder, standInOf: ReadonlyMap<string, string>): string {
  let replaced = "";
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    if (longestAt(text, at) === 0) continue;
    replaced += text.slice(from, at) + (standInOf.get(text.charAt(at)) ?? "");
    from = at + 1;
  }
  return replaced + text.slice(from);
}

function mapStrings(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, change));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [change(key), mapStrings(item, change)]),
  );
}
