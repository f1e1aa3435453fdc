"""The mid model of 20-load.ts as a GGUF file for llama.cpp: `python llama-cpp-file.py <folder> <file>`, float32 kept.

llama.cpp turns pairs of neighbouring columns by the rotary angle where the folder's files mean halves,
so the rows of queries and keys are interleaved (GGUF specification, architecture "llama").
"""
import json
import sys

import gguf
from safetensors.numpy import load_file

folder, file = sys.argv[1:]
with open(f"{folder}/config.json") as text:
    config = json.load(text)
heads, key_heads = config["num_attention_heads"], config["num_key_value_heads"]

writer = gguf.GGUFWriter(file, "llama")
writer.add_context_length(config["max_position_embeddings"])
writer.add_embedding_length(config["hidden_size"])
writer.add_block_count(config["num_hidden_layers"])
writer.add_feed_forward_length(config["intermediate_size"])
writer.add_head_count(heads)
writer.add_head_count_kv(key_heads)
writer.add_rope_dimension_count(config["hidden_size"] // heads)
writer.add_rope_freq_base(config["rope_theta"])
writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
writer.add_vocab_size(config["vocab_size"])
writer.add_file_type(gguf.LlamaFileType.ALL_F32)

# node-llama-cpp asks for a vocabulary when it opens a model; only token ids are used here.
special = ["<unk>", "<s>", "</s>"]
single_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
tokens = special + single_bytes
tokens += [f"token{index}" for index in range(len(tokens), config["vocab_size"])]
kinds = [gguf.TokenType.CONTROL] * len(special) + [gguf.TokenType.BYTE] * len(single_bytes)
kinds += [gguf.TokenType.NORMAL] * (len(tokens) - len(kinds))
writer.add_tokenizer_model("llama")
writer.add_token_list(tokens)
writer.add_token_scores([0.0] * len(tokens))
writer.add_token_types(kinds)


def interleaved(weight, count):
    rows, columns = weight.shape
    return weight.reshape(count, 2, rows // count // 2, columns).swapaxes(1, 2).reshape(rows, columns)


names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
for name, weight in load_file(f"{folder}/model.safetensors").items():
    if name.endswith("q_proj.weight"):
        weight = interleaved(weight, heads)
    if name.endswith("k_proj.weight"):
        weight = interleaved(weight, key_heads)
    writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), weight.copy())
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
