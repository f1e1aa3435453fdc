"""Train the byte-level BPE of the quote model and write its tokenizer files.

in: Markdown of the training documents; out: tokenizer.json, tokenizer_config.json, special_tokens_map.json.

The chat template renders `messages` and `documents` to the prompt contract of ../quote/README.md.
Nothing is added around a text on encoding: the template writes every special token itself.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY_COUNT = 4096

PAD, BEGIN, END, PASSAGE, QUESTION, ANSWER = SPECIALS = (
    "<|pad|>",
    "<|begin|>",
    "<|end|>",
    "<|passage|>",
    "<|question|>",
    "<|answer|>",
)

CHAT_TEMPLATE = (
    "{{- '<|begin|>' -}}"
    "{%- if documents -%}"
    "{%- for document in documents -%}{{- '<|passage|> ' + document['text'] -}}{%- endfor -%}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{%- if loop.last -%}{{- '<|question|> ' + message['content'] + '<|answer|>' -}}{%- endif -%}"
    "{%- endfor -%}"
)


def train(texts: list[str]) -> Tokenizer:
    """Train a byte-level BPE. The six special tokens take ids 0..5 in the order of SPECIALS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_COUNT,
        special_tokens=[AddedToken(text, normalized=False, special=True) for text in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def write(tokenizer: Tokenizer, folder: Path, length_max: int) -> None:
    """Write the three tokenizer files of a Hugging Face model folder; `length_max` in tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    specials = {"bos_token": BEGIN, "eos_token": END, "pad_token": PAD}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **specials,
        "additional_special_tokens": [PASSAGE, QUESTION, ANSWER],
        "clean_up_tokenization_spaces": False,
        "model_max_length": length_max,
        "chat_template": CHAT_TEMPLATE,
    }
    special_map = {**specials, "additional_special_tokens": [PASSAGE, QUESTION, ANSWER]}
    for name, value in (("tokenizer_config.json", config), ("special_tokens_map.json", special_map)):
        (folder / name).write_text(json.dumps(value, indent=2) + "\n")
