import type { Decoder } from "#runtime/decoder/description";
import { ModelConfigError } from "#runtime/weights/model-config";
import { decodeBloom } from "./bloom.ts";
import { decodeChatGlm } from "./chatglm.ts";
import { decodeFalcon } from "./falcon.ts";
import { decodeGemma, decodeGemma2, decodeGemma3 } from "./gemma.ts";
import { decodeGlm, decodeGlm4 } from "./glm.ts";
import { decodeGpt2 } from "./gpt2.ts";
import { decodeLlama } from "./llama.ts";
import { decodeMistral } from "./mistral.ts";
import { decodeQwen2, decodeQwen3 } from "./qwen.ts";

/** Every family, by the `model_type` of its config.json. */
const families: Readonly<Record<string, (json: unknown) => Decoder>> = {
  bloom: decodeBloom,
  chatglm: decodeChatGlm,
  falcon: decodeFalcon,
  gemma: decodeGemma,
  gemma2: decodeGemma2,
  gemma3_text: decodeGemma3,
  glm: decodeGlm,
  glm4: decodeGlm4,
  gpt2: decodeGpt2,
  llama: decodeLlama,
  mistral: decodeMistral,
  qwen2: decodeQwen2,
  qwen3: decodeQwen3,
};

/**
 * Read a published config.json.
 * @throws ModelConfigError naming the key that is missing, malformed or not supported.
 */
export function decodeConfig(json: unknown): Decoder {
  const type =
    typeof json === "object" && json !== null && "model_type" in json ? json.model_type : undefined;
  if (typeof type !== "string" || !Object.hasOwn(families, type)) {
    throw new ModelConfigError("model_type", `one of ${Object.keys(families).join(", ")} is supported`);
  }
  return families[type]!(json);
}
