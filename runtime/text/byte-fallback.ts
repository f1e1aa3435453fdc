import { z } from "zod";

const replaceStep = z.object({
  type: z.literal("Replace"),
  pattern: z.object({ String: z.string() }),
  content: z.string(),
});
const stripStep = z.object({
  type: z.literal("Strip"),
  content: z.string().length(1),
  start: z.int().min(0).max(64),
  stop: z.literal(0),
});
const sequence = z.object({
  type: z.literal("Sequence"),
  decoders: z.union([
    z.tuple([
      replaceStep,
      z.object({ type: z.literal("ByteFallback") }),
      z.object({ type: z.literal("Fuse") }),
    ]),
    z.tuple([
      replaceStep,
      z.object({ type: z.literal("ByteFallback") }),
      z.object({ type: z.literal("Fuse") }),
      stripStep,
    ]),
  ]),
});

const byteToken = /^<0x([0-9A-Fa-f]{2})>$/;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The decoder of SentencePiece-like tokenizers (Llama 2, Mistral, Gemma): spaces for `▁`, bytes for `<0x0A>`. A run
 * of byte tokens that is not UTF-8 becomes as many U+FFFD as it has bytes, as in the reference implementation;
 * @huggingface/tokenizers gives fewer and drops U+FEFF. Undefined for decoders of another kind.
 */
export function createByteFallbackDecoder(
  decoder: unknown,
): ((tokens: readonly string[]) => string) | undefined {
  const parsed = sequence.safeParse(decoder);
  if (!parsed.success) return undefined;
  const [replace, , , strip] = parsed.data.decoders;
  return (tokens) => {
    const text = joinBytes(tokens.map((token) => token.replaceAll(replace.pattern.String, replace.content)));
    let start = 0;
    while (strip && start < strip.start && text[start] === strip.content) start++;
    return text.slice(start);
  };
}

function joinBytes(tokens: readonly string[]): string {
  let text = "";
  let run: number[] = [];
  const flush = () => {
    if (run.length > 0) text += decodeRun(run);
    run = [];
  };
  for (const token of tokens) {
    const [, hex] = byteToken.exec(token) ?? [];
    if (hex === undefined) {
      flush();
      text += token;
    } else run.push(Number.parseInt(hex, 16));
  }
  flush();
  return text;
}

function decodeRun(bytes: readonly number[]): string {
  try {
    return utf8.decode(Uint8Array.from(bytes));
  } catch {
    return "\uFFFD".repeat(bytes.length); // Not UTF-8: what the model wrote is no text.
  }
}
