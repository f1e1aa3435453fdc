"""Examples to tensors: contexts with several question-and-answer rows each, padded to a stage's sizes."""

from dataclasses import dataclass
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from examples import Writer
from tokenizer import ANSWER, BEGIN, END, PAD, PASSAGE, QUESTION, SPECIALS

ABSTAIN_SHARE = 0.12
EMPTY_SHARE = 0.02
DRAWS_MAX = 200
ROWS_DRAWN_MAX = 60


@dataclass(frozen=True)
class Batch:
    """contexts [B, P], lengths [B], rows [B, N, T]; targets [B, N, T] = rows on answers, -100 elsewhere."""

    contexts: Tensor
    lengths: Tensor
    rows: Tensor
    targets: Tensor


class Batcher:
    """Draws batches for a stage (see train.Stage)."""

    def __init__(self, tokenizer: Tokenizer, documents, rng: Random):
        self.tokenizer, self.rng = tokenizer, rng
        self.writer = Writer(documents, rng)
        self.ids = {text: tokenizer.token_to_id(text) for text in SPECIALS}

    def batch(self, stage) -> Batch:
        """One batch of exactly stage.batch contexts with up to stage.rows rows each."""
        draw = self.random_ids if stage.passages == 0 else self.text
        row_tokens = self.rng.choice(stage.row_tokens)
        drawn = [draw(stage, row_tokens) for _ in range(stage.batch)]
        lengths = torch.tensor([len(context) for context, _ in drawn])
        contexts = torch.full((stage.batch, int(lengths.max())), self.ids[PAD])
        rows = torch.full((stage.batch, stage.rows, row_tokens), self.ids[PAD])
        targets = torch.full_like(rows, -100)
        for b, (context, answers) in enumerate(drawn):
            contexts[b, : len(context)] = torch.tensor(context)
            for n, (question, answer) in enumerate(answers):
                row = torch.tensor(question + answer)
                rows[b, n, : len(row)] = row
                targets[b, n, len(question) : len(row)] = row[len(question) :]
        return Batch(contexts, lengths, rows, targets)

    def text(self, stage, row_tokens: int) -> tuple[list[int], list[tuple[list[int], list[int]]]]:
        """A context of text and its rows; draws again while something does not fit the stage's sizes."""
        for _ in range(DRAWS_MAX):
            empty = self.rng.random() < EMPTY_SHARE
            passages = [] if empty else self.writer.context(self.rng.randint(1, stage.passages))
            context = self.context_ids(passages)
            if len(context) > stage.context_tokens:
                continue
            rows = []
            for _ in range(ROWS_DRAWN_MAX):
                refuse = empty or self.rng.random() < ABSTAIN_SHARE
                question = self.writer.abstain(passages) if refuse else self.writer.quote(passages)
                row = question and self.row_ids(question.text, question.answer)
                if row and len(row[0]) + len(row[1]) <= row_tokens:
                    rows.append(row)
                if len(rows) == (2 if empty else stage.rows):
                    return context, rows
        raise RuntimeError(f"No context fits the stage. Draws: {DRAWS_MAX}. Stage: {stage}.")

    def context_ids(self, passages: list[str]) -> list[int]:
        """<|begin|> and each passage after its mark, as the prompt contract says."""
        ids = [self.ids[BEGIN]]
        for encoding in self.tokenizer.encode_batch_fast([f" {passage}" for passage in passages]):
            ids += [self.ids[PASSAGE], *encoding.ids]
        return ids

    def row_ids(self, question: str, answer: str) -> tuple[list[int], list[int]]:
        """<|question|> ... <|answer|>, and the answer with <|end|>."""
        q, a = (self.tokenizer.encode(f" {text}").ids for text in (question, answer))
        return [self.ids[QUESTION], *q, self.ids[ANSWER]], [*a, self.ids[END]]

    def random_ids(self, stage, row_tokens: int) -> tuple[list[int], list[tuple[list[int], list[int]]]]:
        """Passages of uniform random ids; a row asks with 2..6 of them and quotes to the passage's end."""
        rng, first = self.rng, len(SPECIALS)
        passages = [[rng.randrange(first, self.tokenizer.get_vocab_size()) for _ in range(rng.randint(8, row_tokens - 9))]
                    for _ in range(rng.randint(1, 2))]
        context = [self.ids[BEGIN]]
        for passage in passages:
            context += [self.ids[PASSAGE], *passage]
        rows = []
        for _ in range(stage.rows):
            passage = rng.choice(passages)
            start = rng.randint(0, len(passage) - 4)
            phrase = passage[start : start + rng.randint(2, 6)]
            question = [self.ids[QUESTION], *phrase, self.ids[ANSWER]]
            rows.append((question, [*passage[start:], self.ids[END]]))
        return context, rows


