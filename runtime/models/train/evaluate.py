"""Evaluate a finished model folder with transformers and write evaluation.json into it.

    python evaluate.py --model ../quote --eips <EIPS folder> --packages <node_modules>

Needs torch, transformers and the packages of train.py. Greedy decoding over PASSAGES passages of one
document, on documents never trained on: the held-out EIPs, and the Markdown of installed npm packages.
"""

import argparse
import json
from pathlib import Path
from random import Random

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import corpus
import model as quote_model
from examples import ABSTENTION, Question, Writer

SEED = 977
PASSAGES = 4
BATCH = 50
TOKENS_MAX = 80
QUOTE_WORDS_MIN = 4
LOGIT_TOLERANCE = 1e-4


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model, padding_side="left")
    network = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).eval()
    eips = [document for document in corpus.read_folder(arguments.eips) if corpus.is_held_out(document.name)]
    sets = {"eips": eips, "packages": corpus.read_packages(arguments.packages)}
    result = {
        "seed": SEED,
        "passages": PASSAGES,
        "logitsDifferenceMax": logits_difference_max(arguments.model, network, tokenizer, eips),
    }
    assert result["logitsDifferenceMax"] < LOGIT_TOLERANCE
    for name, documents in sets.items():
        result[name] = evaluate(network, tokenizer, documents, arguments)
        print(name, json.dumps(result[name], indent=2), flush=True)
    (arguments.model / "evaluation.json").write_text(json.dumps(result, indent=2) + "\n")


def evaluate(network, tokenizer, documents: list[corpus.Document], arguments) -> dict:
    """Rates over `count` quoting and `abstentions` abstaining questions of one document set."""
    writer = Writer(documents, Random(SEED))
    quotes = draw(writer, writer.quote, arguments.count)
    strangers = draw(writer, writer.abstain, arguments.abstentions)
    said = generate(network, tokenizer, quotes)
    refused = generate(network, tokenizer, strangers)
    grades = [grade(text, passages, question) for text, (passages, question) in zip(said, quotes)]
    wrong = [(question.text, question.answer, text) for text, (_, question) in zip(said, quotes) if text != question.answer]
    if arguments.show:
        print(*wrong[: arguments.show], sep="\n", flush=True)
    return {
        "documents": len(documents),
        "quoteQuestions": len(quotes),
        "exactMatch": mean(grade["exact"] for grade in grades),
        "quotesRightPassage": mean(grade["right"] for grade in grades),
        "quotesAnyPassage": mean(grade["any"] for grade in grades),
        "abstainsWrongly": mean(text == ABSTENTION for text in said),
        "abstentionQuestions": len(strangers),
        "abstainsRightly": mean(text == ABSTENTION for text in refused),
    }


def draw(writer: Writer, ask, count: int) -> list[tuple[list[str], Question]]:
    """`count` contexts of PASSAGES passages of one document, with one question each."""
    drawn: list[tuple[list[str], Question]] = []
    pool = [document for document in writer.documents if len(document.prose) >= PASSAGES]
    while len(drawn) < count:
        passages = writer.rng.sample(writer.rng.choice(pool).prose, PASSAGES)
        question = ask(passages)
        if question:
            drawn.append((passages, question))
    return drawn


def generate(network, tokenizer, asked: list[tuple[list[str], Question]]) -> list[str]:
    """Greedy answers, without the leading space, in the order asked."""
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question.text}],
            documents=[{"text": passage} for passage in passages],
            tokenize=False,
        )
        for passages, question in asked
    ]
    said: list[str] = []
    for start in range(0, len(prompts), BATCH):
        batch = tokenizer(prompts[start : start + BATCH], return_tensors="pt", padding=True)
        with torch.no_grad():
            ids = network.generate(**batch, do_sample=False, max_new_tokens=TOKENS_MAX)
        said += tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return [text.removeprefix(" ") for text in said]


def grade(text: str, passages: list[str], question: Question) -> dict[str, bool]:
    """exact: the wanted span; right: QUOTE_WORDS_MIN words or more found in the gold passage and in no other."""
    quoted = len(text.split(" ")) >= QUOTE_WORDS_MIN
    holders = [index for index, passage in enumerate(passages) if text in passage]
    return {
        "exact": text == question.answer,
        "right": quoted and holders == [question.gold],
        "any": quoted and bool(holders),
    }


def logits_difference_max(folder: Path, network, tokenizer, documents) -> float:
    """Largest absolute difference between transformers' logits and the training model's, over 8 prompts."""
    ours, writer, worst = quote_model.read(folder), Writer(documents, Random(SEED)), 0.0
    for passages, question in draw(writer, writer.quote, 8):
        context = "<|begin|>" + "".join(f"<|passage|> {passage}" for passage in passages)
        row = f"<|question|> {question.text}<|answer|> {question.answer}"
        c, r = (tokenizer(text, return_tensors="pt").input_ids for text in (context, row))
        with torch.no_grad():
            mine = ours.logits(ours(c, torch.tensor([c.shape[1]]), r[None]))[0, 0]
            theirs = network(torch.cat([c, r], dim=1)).logits[0, -r.shape[1] :]
        worst = max(worst, (mine - theirs).abs().max().item())
    return worst


def mean(values) -> float:
    """Share of true values, to 4 decimals."""
    found = [float(value) for value in values]
    return round(sum(found) / len(found), 4)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--eips", type=Path, required=True, help="folder of the EIPs' Markdown files")
    parser.add_argument("--packages", type=Path, required=True, help="a node_modules folder")
    parser.add_argument("--count", type=int, default=300, help="quoting questions per document set")
    parser.add_argument("--abstentions", type=int, default=100, help="abstaining questions per document set")
    parser.add_argument("--show", type=int, default=0, help="wrong answers to print per document set")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
