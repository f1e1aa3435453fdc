import { describe, expect, it } from "vitest";
import { ModelConfigError } from "#runtime/weights/model-config";
import { decodeConfig } from "./config.ts";

const sizes = {
  vocab_size: 64,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  max_position_embeddings: 64,
};
const gemma = { ...sizes, head_dim: 8, num_hidden_layers: 4 };

const decode = (config: object) => decodeConfig(config);
const faultOf = (config: object): string => {
  try {
    decode(config);
  } catch (error) {
    if (error instanceof ModelConfigError) return error.message;
    throw error;
  }
  return "none";
};

describe("a config.json in the spelling of published models", () => {
  it("means the tanh form by gelu in the first Gemmas", () => {
    for (const spelling of [
      { hidden_act: "gelu" },
      { hidden_act: "gelu", hidden_activation: null },
      { hidden_act: "gelu_pytorch_tanh", hidden_activation: "gelu_pytorch_tanh" },
      {},
    ]) {
      const { layers } = decode({ model_type: "gemma", ...gemma, ...spelling });
      expect(layers[0]!.feedForward.activation).toBe("geluTanh");
    }
  });

  it("bounds scores and logits of Gemma 2 unless it says null", () => {
    const config = { model_type: "gemma2", ...gemma };
    expect(decode(config).layers[0]!.attention.cap).toBe(50);
    expect(decode(config).head.cap).toBe(30);
    const unbounded = decode({ ...config, attn_logit_softcapping: null, final_logit_softcapping: null });
    expect([unbounded.layers[0]!.attention.cap, unbounded.head.cap]).toEqual([null, null]);
    expect(decode({ model_type: "gemma3_text", ...gemma }).head.cap).toBeNull();
  });

  it("gives Mistral its window unless it says null", () => {
    const config = { model_type: "mistral", ...sizes };
    const windowOf = (more: object) => decode({ ...config, ...more }).layers[0]!.attention.windowTokens;
    expect([windowOf({}), windowOf({ sliding_window: null }), windowOf({ sliding_window: 7 })]).toEqual([
      4096,
      null,
      7,
    ]);
    expect(faultOf({ ...config, layer_types: ["full_attention", "full_attention"] })).toMatch(/layer_types/);
  });

  it("takes the layers with a window from their list", () => {
    const config = { model_type: "qwen2", ...sizes, use_sliding_window: true, sliding_window: 9 };
    const windowsOf = (more: object) =>
      decode({ ...config, ...more }).layers.map(({ attention }) => attention.windowTokens);
    expect(windowsOf({ max_window_layers: 1 })).toEqual([null, 9]);
    expect(windowsOf({ layer_types: ["sliding_attention", "full_attention"] })).toEqual([9, null]);
    expect(windowsOf({ layer_types: null, use_sliding_window: false })).toEqual([null, null]);
    expect(faultOf({ ...config, layer_types: ["full_attention"] })).toMatch(/layer_types.*2 layers/);
  });

  it("refuses a stretch of positions whose meaning it cannot know", () => {
    const chatglm = {
      model_type: "chatglm",
      ...{ padded_vocab_size: 64, hidden_size: 32, ffn_hidden_size: 48, num_layers: 1, kv_channels: 8 },
      ...{ num_attention_heads: 4, layernorm_epsilon: 1e-5, seq_length: 64 },
    };
    expect(faultOf(chatglm)).toBe("none");
    for (const rope_ratio of [50, 500]) expect(faultOf({ ...chatglm, rope_ratio })).toMatch(/rope_ratio/);
  });

  it.each(["gemma3", "mixtral", "qwen2_moe", "deepseek_v3", "t5"])("refuses %s by its model_type", (type) => {
    expect(faultOf({ model_type: type, ...sizes, text_config: gemma })).toMatch(/model_type.*gemma3_text/);
  });

  it("names the key of heads that do not divide", () => {
    const gpt2 = { model_type: "gpt2", vocab_size: 64, n_embd: 32, n_layer: 1, n_head: 5, n_positions: 64 };
    expect(faultOf(gpt2)).toMatch(/n_head.*Given: 5/);
    const bloom = {
      model_type: "bloom",
      vocab_size: 64,
      hidden_size: 32,
      n_layer: 1,
      n_head: 5,
      n_embed: null,
    };
    expect(faultOf(bloom)).toMatch(/n_head.*Given: 5/);
    const glm = { model_type: "glm4", ...sizes, head_dim: 6, partial_rotary_factor: 0.5 };
    expect(faultOf(glm)).toMatch(/partial_rotary_factor/);
  });
});
