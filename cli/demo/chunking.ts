/** Most characters (code points) of a chunk, and fewest that are worth paying for. */
export const chunkCharactersMax = 280;
export const chunkCharactersMin = 40;

/** Words after which a full stop does not end a sentence. */
const abbreviations = /(^|[(\s])(e\.g|i\.e|vs|cf|etc|\d+)\.$/i;
/** Lines that start a block of their own: list items, headings, quotes. */
const blockStart = /^\s*([-*+]\s|\d+[.)]\s|#{1,6}\s|>)/;
/** Lines that are no prose: badges, HTML, link definitions, tables, rules, underlines of headings. */
const notProse = /^\s*(\[?!\[|<|\[[^\]]+\]:|\||[-=*_]{3,}\s*$)/;

/**
 * Markdown → passages of prose: front matter, comments, fenced and indented code, tables, badges and HTML are
 * dropped, links keep their text, whitespace becomes single spaces. Sentences are packed in order into chunks of at
 * most 280 characters; one longer than that is cut at a space. Pure: the same text gives the same chunks.
 */
export function chunkMarkdown(markdown: string): string[] {
  const chunks: string[] = [];
  let chunk = "";
  for (const sentence of proseBlocks(markdown).flatMap(splitSentences).flatMap(cutLong)) {
    const joined = chunk === "" ? sentence : `${chunk} ${sentence}`;
    if (characters(joined) <= chunkCharactersMax) {
      chunk = joined;
      continue;
    }
    chunks.push(chunk);
    chunk = sentence;
  }
  return [...chunks, chunk].filter((text) => characters(text) >= chunkCharactersMin);
}

/** Sentences of a text whose whitespace is single spaces: each ends with a word that ends in . ! or ? */
export function splitSentences(text: string): string[] {
  const sentences: string[] = [];
  let words: string[] = [];
  for (const word of text.split(" ")) {
    words.push(word);
    if (!endsSentence(word)) continue;
    sentences.push(words.join(" "));
    words = [];
  }
  return words.length > 0 ? [...sentences, words.join(" ")] : sentences;
}

function endsSentence(word: string): boolean {
  return /[.!?:]["')\]*_`]*$/.test(word) && !abbreviations.test(word);
}

function proseBlocks(markdown: string): string[] {
  const text = markdown
    .replace(/\r\n?/g, "\n")
    .replace(/^---\n[\s\S]*?\n---\n/, "")
    .replace(/<!--[\s\S]*?-->/g, "")
    .replace(/^ {0,3}(```|~~~)[\s\S]*?^ {0,3}\1[^\n]*$/gm, "\n");
  const blocks: string[][] = [[]];
  for (const line of text.split("\n")) {
    const isCode = /^( {4,}|\t)/.test(line) && blocks.at(-1)!.length === 0;
    if (line.trim() === "" || notProse.test(line) || isCode) {
      blocks.push([]);
      continue;
    }
    if (blockStart.test(line)) blocks.push([]);
    if (/^\s*#{1,6}\s/.test(line)) continue;
    blocks.at(-1)!.push(line);
  }
  return blocks.map((lines) => cleanInline(lines.join(" "))).filter((block) => block !== "");
}

/** Inline Markdown → text: images and tags go, links and emphasis keep their words. */
function cleanInline(text: string): string {
  return text
    .replace(/^\s*([-*+]|\d+[.)]|>)\s+/, "")
    .replace(/!\[[^\]]*\](\([^)]*\)|\[[^\]]*\])/g, "")
    .replace(/\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])/g, "$1")
    .replace(/<[^>]*>/g, "")
    .replace(/\*\*|__/g, "")
    .replace(/\s+/gu, " ")
    .trim();
}

/** A sentence longer than a chunk, cut at spaces; a single longer word is cut anywhere. */
function cutLong(sentence: string): string[] {
  const parts: string[] = [];
  let rest = [...sentence];
  while (rest.length > chunkCharactersMax) {
    const space = rest.lastIndexOf(" ", chunkCharactersMax);
    const end = space > 0 ? space : chunkCharactersMax;
    parts.push(rest.slice(0, end).join("").trim());
    rest = [...rest.slice(end).join("").trim()];
  }
  return [...parts, rest.join("")].filter((part) => part !== "");
}

function characters(text: string): number {
  return [...text].length;
}
