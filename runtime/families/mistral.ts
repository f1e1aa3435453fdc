import { z } from "zod";
import type { Decoder } from "#runtime/decoder/description";
import { count, parseKeys } from "./config-keys.ts";
import { llamaKeys, llamaLike } from "./llama.ts";

const schema = z.looseObject({
  ...llamaKeys,
  hidden_act: z.literal("silu").default("silu"),
  sliding_window: count(100_000_000).nullable().default(4096),
  // transformers warns and ignores it; a model that has it means another architecture.
  layer_types: z.null().optional(),
});

/** Mistral (Jiang et al. 2023): Llama whose queries see a window of tokens. */
export function decodeMistral(json: unknown): Decoder {
  const raw = parseKeys(schema, json);
  return llamaLike(raw, { windowTokens: () => raw.sliding_window });
}
