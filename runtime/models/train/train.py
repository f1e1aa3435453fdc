"""Train the quote model from scratch on CPU and write its Hugging Face folder.

    python train.py --eips <clone of ethereum/EIPs>/EIPS --out ../quote

Needs torch, numpy, safetensors and tokenizers. Every random choice derives from SEED. The curriculum
is STAGES: random ids first, so that the copying heads form cheaply, then text, then longer contexts; the
rate fell to 0 once (PAUSE), rose again and fell for good (FALL).
"""

import argparse
import queue
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch
from torch.nn import functional as F

import corpus
import model as quote_model
import tokenizer as quote_tokenizer
from batches import Batch, Batcher

SEED = 20260
WEIGHT_DECAY = 0.01
BETAS = (0.9, 0.98)
WARMUP_STEPS = 100
GRADIENT_NORM_MAX = 1.0
LOG_STEPS = 50


@dataclass(frozen=True)
class Stage:
    """A stretch of training. Sizes in tokens; `passages` is the most a context holds, 0 = random ids.

    Each batch draws its cap on a row from `row_tokens`. The learning rate goes linearly from `rate` to
    `rate_end` over the stage.
    """

    steps: int
    passages: int
    batch: int
    rows: int
    context_tokens: int
    row_tokens: tuple[int, ...]
    rate: float
    rate_end: float


IDS = Stage(300, passages=0, batch=16, rows=8, context_tokens=64, row_tokens=(24, 40), rate=2e-3, rate_end=2e-3)
SHORT = Stage(400, passages=2, batch=8, rows=8, context_tokens=192, row_tokens=(48, 64), rate=1.5e-3, rate_end=1.5e-3)
LONG = Stage(250, passages=6, batch=6, rows=8, context_tokens=448, row_tokens=(48, 64, 88), rate=1.2e-3, rate_end=1.2e-3)
PAUSE = (
    replace(LONG, rate_end=0.8e-3),
    replace(LONG, steps=120, rate=0.8e-3, rate_end=0.4e-3),
    replace(LONG, steps=80, rate=0.4e-3, rate_end=0.0),
)
WIDE = Stage(80, passages=6, batch=6, rows=8, context_tokens=512, row_tokens=(48, 64, 88, 112), rate=1e-3, rate_end=1e-3)
FALLS = 14
FALL = tuple(replace(WIDE, rate=1e-3 * (1 - k / FALLS), rate_end=1e-3 * (1 - (k + 1) / FALLS)) for k in range(FALLS))
STAGES = (IDS, SHORT, LONG, LONG, LONG, *PAUSE, replace(WIDE, rate=0.3e-3), *[WIDE] * 5, *FALL)


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(SEED)
    documents = corpus.read_folder(arguments.eips)
    held_out = [document for document in documents if corpus.is_held_out(document.name)]
    training = [document for document in documents if not corpus.is_held_out(document.name)]
    tokenizer = quote_tokenizer.train([passage for d in training for passage in d.prose + d.code])
    shape = quote_model.Shape(vocab_size=tokenizer.get_vocab_size())
    quote_tokenizer.write(tokenizer, arguments.out, shape.max_position_embeddings)
    network = quote_model.QuoteModel(shape)
    count = sum(parameter.numel() for parameter in network.parameters())
    print(f"documents {len(training)} + {len(held_out)} held out, parameters {count}", flush=True)
    trainer = Trainer(network, tokenizer, training, held_out, arguments.out, arguments.state)
    done = trainer.resume() if arguments.resume else 0
    for index, stage in enumerate(STAGES[done:], start=done):
        trainer.run(index, stage)


class Trainer:
    """The loop: AdamW with warm-up, the stage's rate, and a state file at each stage's end."""

    def __init__(self, network, tokenizer, training, held_out, out: Path, state: Path):
        self.network, self.tokenizer, self.out, self.state = network, tokenizer, out, state
        self.training, self.held_out = training, held_out
        matrices = [p for p in network.parameters() if p.ndim == 2]
        vectors = [p for p in network.parameters() if p.ndim == 1]
        groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, betas=BETAS, fused=True)
        self.step, self.seconds = 0, 0.0

    def run(self, index: int, stage: Stage) -> None:
        feed = prefetch(Batcher(self.tokenizer, self.training, Random(f"{SEED}/{index}")), stage)
        check = Batcher(self.tokenizer, self.held_out, Random(f"{SEED}/held out")).batch(stage)
        started = time.monotonic() - self.seconds
        for step in range(stage.steps):
            rate = stage.rate + (stage.rate_end - stage.rate) * step / stage.steps
            for group in self.optimizer.param_groups:
                group["lr"] = rate * min(1.0, (self.step + 1) / WARMUP_STEPS)
            loss, exact = self.measure(feed.get())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), GRADIENT_NORM_MAX)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.step += 1
            self.seconds = time.monotonic() - started
            if self.step % LOG_STEPS == 0:
                self.log(index, loss.item(), exact, check)
        self.save(index + 1)

    def log(self, index: int, loss: float, exact: float, check: Batch) -> None:
        with torch.no_grad():
            loss_held_out, exact_held_out = self.measure(check)
        print(
            f"stage {index} step {self.step} s {self.seconds:.0f} loss {loss:.4f} exact {exact:.3f} "
            f"held-out loss {loss_held_out.item():.4f} exact {exact_held_out:.3f}",
            flush=True,
        )

    def measure(self, batch: Batch) -> tuple[torch.Tensor, float]:
        """Loss on the answers' tokens, and the share of answers predicted wholly (= greedy exact match)."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states = self.network(batch.contexts, batch.lengths, batch.rows[..., :-1])
            targets = batch.targets[..., 1:]
            asked = targets >= 0
            logits = self.network.logits(states[asked]).float()
        loss = F.cross_entropy(logits, targets[asked])
        wrong = torch.zeros_like(asked)
        wrong[asked] = logits.argmax(-1) != targets[asked]
        real = asked.any(-1)
        return loss, 1.0 - (wrong.any(-1) & real).sum().item() / real.sum().item()

    def save(self, done: int) -> None:
        """Write the model folder, and the state from which `--resume` continues after `done` stages."""
        names = {"bos": quote_tokenizer.BEGIN, "eos": quote_tokenizer.END, "pad": quote_tokenizer.PAD}
        ids = {f"{name}_token_id": self.tokenizer.token_to_id(text) for name, text in names.items()}
        quote_model.write(self.network, self.out, ids)
        state = {"done": done, "step": self.step, "seconds": self.seconds}
        torch.save({**state, "model": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}, self.state)

    def resume(self) -> int:
        """Load the state file; returns how many stages are done."""
        state = torch.load(self.state)
        self.network.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        return state["done"]


def prefetch(batcher: Batcher, stage: Stage) -> queue.Queue:
    """Batches made ahead in a thread, at most 8; the order, and so the run, stays the same."""
    ahead: queue.Queue = queue.Queue(maxsize=8)

    def fill() -> None:
        for _ in range(stage.steps):
            ahead.put(batcher.batch(stage))

    threading.Thread(target=fill, daemon=True).start()
    return ahead


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--eips", type=Path, required=True, help="folder of the EIPs' Markdown files")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--state", type=Path, default=Path("quote-state.pt"), help="state file, written after each stage")
    parser.add_argument("--resume", action="store_true", help="continue after the last finished stage")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
