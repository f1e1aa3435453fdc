"""Write ../quote/vectors.json: texts with their ids, and chats with their prompts, for readers in other languages.

    python vectors.py --model ../quote --eips <EIPS folder>

Needs transformers. The texts are held-out EIPs (CC0), their words shuffled, and edge cases. `../tokenizer.test.ts` reads the file with the JavaScript tokenizer.
"""

import argparse
import json
from pathlib import Path
from random import Random

from transformers import AutoTokenizer

import corpus
from examples import Writer

SEED = 41
TEXTS = 200
PROMPTS = 12
EDGES = (
    "",
    " ",
    "  two  spaces  ",
    "tab\tand\nnewline\r\nand CRLF",
    "naïve café, Ångström, ﬁne",
    "日本語のテキストと漢字",
    "Привет, мир! Ελληνικά עברית العربية",
    "emoji 🎉👩‍👩‍👧‍👦🇺🇳 and keycap 1️⃣",
    "e\u0301 combining, \u200b zero width, \u00a0 no-break",
    "0x1234abcdef00FF 1_000_000 3.14159e-10",
    "const f = async (x) => { await g(`${x}`)?.[0] ?? null; };",
    "it's we'll I'm they've you'd don't",
    "<|begin|><|passage|> a<|question|> b<|answer|> c<|end|><|pad|>",
    "<|unknown|> <|begin <|end|",
    "## Heading\n\n- *item* **bold** [link](https://example.org/a?b=c#d)\n| a | b |\n|---|---|",
    "\\frac{a}{b} $x_i^2$ \u2264 \u221e",
    "def f(x):\n    return x  # comment\n",
    "a" * 300,
)


def main() -> None:
    arguments = parse()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    held_out = [document for document in corpus.read_folder(arguments.eips) if corpus.is_held_out(document.name)]
    writer = Writer(held_out, Random(SEED))
    texts = [*EDGES, *(passage for _ in range(TEXTS) for passage in writer.context(1))]
    prompts = [chat(tokenizer, writer, index) for index in range(PROMPTS)]
    encoded = [{"text": text, "ids": tokenizer(text).input_ids} for text in [*texts, *(p["prompt"] for p in prompts)]]
    lines = [json.dumps(entry, ensure_ascii=False) for entry in encoded]
    chats = [json.dumps(entry, ensure_ascii=False) for entry in prompts]
    out = '{"encoded": [\n' + ",\n".join(lines) + '\n], "prompts": [\n' + ",\n".join(chats) + "\n]}\n"
    (arguments.model / "vectors.json").write_text(out)
    print(f"{len(encoded)} texts, {len(prompts)} prompts")


def chat(tokenizer, writer: Writer, index: int) -> dict:
    """A chat of 0..5 passages, every other one after a system message, with its rendered prompt."""
    passages = writer.hard_context(index % 6)
    question = writer.question("the phrase")
    system = [{"role": "system", "content": "Quote the passages."}] if index % 2 else []
    messages = [*system, {"role": "user", "content": question}]
    documents = [{"text": passage} for passage in passages]
    prompt = tokenizer.apply_chat_template(messages, documents=documents, tokenize=False)
    contract = "<|begin|>" + "".join(f"<|passage|> {passage}" for passage in passages)
    assert prompt == f"{contract}<|question|> {question}<|answer|>"
    return {"passages": passages, "question": question, "prompt": prompt}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--eips", type=Path, required=True, help="folder of the EIPs' Markdown files")
    return parser.parse_args()


if __name__ == "__main__":
    main()
