"""The PyTorch side of benchmarks/runtime: reads one JSON request per line, answers with CPU ms and a check.

Needs torch 2.13, transformers 5.18, peft 0.21. Requests: {"work": "train" | "gradients" | "store" | "decode", ...}.
With CLOCK=wall it answers with wall ms instead, on a GPU where torch has one, else on all cores of the CPU.
"""

import json
import os
import sys
import time

import torch
import transformers
from peft import PeftModel

IS_WALL = os.environ.get("CLOCK") == "wall"
DEVICE = "cuda" if IS_WALL and torch.cuda.is_available() else "cpu"
if not IS_WALL:
    torch.set_num_threads(1)
models: dict = {}
compiled: dict = {}


def now() -> float:
    """Seconds; work given to a GPU is done by then."""
    if not IS_WALL:
        return time.process_time()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def tokens_of(request: dict):
    return torch.tensor(request["tokenIds"], device=DEVICE)


def model_of(request: dict):
    key = (request["model"], request["adapters"], request["adapterCount"])
    if key not in models:
        models.clear()
        compiled.clear()
        base = transformers.AutoModelForCausalLM.from_pretrained(request["model"], dtype=torch.float32, attn_implementation="sdpa").to(DEVICE)
        peft = PeftModel.from_pretrained(base, f"{request['adapters']}/0", adapter_name="0", is_trainable=True)
        for index in range(1, request["adapterCount"]):
            peft.load_adapter(f"{request['adapters']}/{index}", adapter_name=str(index))
        models[key] = peft
    return models[key]


def loss_of(model, token_ids):
    logits = model(input_ids=token_ids, use_cache=False).logits
    losses = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), token_ids[:, 1:].flatten(), reduction="sum")
    return losses


def train(request):
    model = model_of(request).train()
    if request.get("isCompiled"):
        model = compiled.setdefault(id(model), torch.compile(model))
    token_ids = tokens_of(request)
    start = now()
    model.zero_grad()
    loss = loss_of(model, token_ids)
    loss.backward()
    return now() - start, loss.item()


def gradients_by_loop(request):
    """One backward pass for each example."""
    model = model_of(request).train()
    token_ids = tokens_of(request)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    start = now()
    found = [torch.autograd.grad(loss_of(model, token_ids[index : index + 1]), parameters) for index in range(len(token_ids))]
    elapsed = now() - start
    return elapsed, sum(gradient.double().pow(2).sum().item() for gradient in found[0]) ** 0.5


def gradients_by_vmap(request):
    """torch.func: the gradient of one example's loss, vectorised over examples."""
    model = model_of(request).train()
    token_ids = tokens_of(request)
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}

    def loss(parameters, ids):
        logits = torch.func.functional_call(model, parameters, kwargs={"input_ids": ids[None], "use_cache": False}).logits
        return torch.nn.functional.cross_entropy(logits[0, :-1], ids[1:], reduction="sum")

    start = now()
    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, token_ids)
    elapsed = now() - start
    return elapsed, sum(gradient[0].double().pow(2).sum().item() for gradient in found.values()) ** 0.5


def captured(model, work):
    """Activations captured and products batched: the gradient of each example in each factor, none of a weight by autograd."""
    layers = {name: module for name, module in model.named_modules() if ".lora_A.0" in name or ".lora_B.0" in name}
    inputs, results, handles = {}, {}, []
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    embedding = model.get_input_embeddings()
    handles.append(embedding.register_forward_hook(lambda m, i, out: out.requires_grad_(True)))
    for name, module in layers.items():
        def forward(m, i, out, name=name):
            inputs[name] = i[0].detach()
            out.register_hook(lambda g, name=name: results.__setitem__(name, torch.bmm(g.transpose(1, 2), inputs[name])))
        handles.append(module.register_forward_hook(forward))
    start = now()
    work()
    elapsed = now() - start
    for handle in handles:
        handle.remove()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    return elapsed, results


def gradients(request):
    model = model_of(request).train()
    token_ids = tokens_of(request)
    elapsed, results = captured(model, lambda: loss_of(model, token_ids).backward())
    return elapsed, sum(result[0].double().pow(2).sum().item() for result in results.values()) ** 0.5


def store(request):
    """The same for a list of examples, in batches of the like length padded on the right, loss on answers alone, as int8 with a scale for each factor in a file."""
    model = model_of(request).train()
    rows = sorted(zip(request["tokenIds"], request["answerFrom"]), key=lambda row: len(row[0]))
    elapsed, norm = 0.0, 0.0
    with open(request["path"], "wb") as file:
        for first in range(0, len(rows), request["batch"]):
            batch = rows[first : first + request["batch"]]
            width = max(len(ids) for ids, _ in batch)
            token_ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in batch])
            mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in batch])
            labels = torch.tensor([[-100] * start + ids[start:] + [-100] * (width - len(ids)) for ids, start in batch])

            def work():
                logits = model(input_ids=token_ids, attention_mask=mask, use_cache=False).logits
                flat = logits[:, :-1].flatten(0, 1)
                torch.nn.functional.cross_entropy(flat, labels[:, 1:].flatten(), ignore_index=-100, reduction="sum").backward()

            seconds, results = captured(model, work)
            start = now()
            for result in results.values():
                scale = result.abs().amax(dim=(1, 2), keepdim=True).clamp_min(1e-30) / 127
                file.write(scale.numpy().tobytes())
                file.write(torch.round(result / scale).to(torch.int8).numpy().tobytes())
            elapsed += seconds + now() - start
            norm += sum(result.double().pow(2).sum().item() for result in results.values())
    return elapsed, norm**0.5


@torch.no_grad()
def decode(request):
    model = model_of(request).eval()
    prompts = tokens_of(request)
    names = [str(index % request["adapterCount"]) for index in range(len(prompts))]
    cache = model(input_ids=prompts, adapter_names=names, use_cache=True).past_key_values
    times = []
    for _ in range(request["steps"]):
        start = now()
        out = model(input_ids=prompts[:, :1], adapter_names=names, past_key_values=cache, use_cache=True)
        times.append(now() - start)
        cache.crop(prompts.shape[1])
    return sorted(times)[len(times) // 2], out.logits[0, -1].double().pow(2).sum().item() ** 0.5


@torch.no_grad()
def answer(request):
    """Greedy tokens of the base model for every prompt: the time of the prompts if no step is asked for, else of the steps."""
    model = model_of(request).eval()
    with model.disable_adapter():
        start = now()
        out = model(input_ids=tokens_of(request), use_cache=True)
        chosen = out.logits[:, -1].argmax(-1)
        if request["steps"] > 0:
            start = now()
        for _ in range(request["steps"]):
            out = model(input_ids=chosen[:, None], past_key_values=out.past_key_values, use_cache=True)
            chosen = out.logits[:, -1].argmax(-1)
        check = out.logits[0, -1].log_softmax(-1).max().item()
    return now() - start, check


works = {
    "answer": answer,
    "train": train,
    "gradients": gradients,
    "store": store,
    "gradientsByLoop": gradients_by_loop,
    "gradientsByVmap": gradients_by_vmap,
    "decode": decode,
}
for line in sys.stdin:
    request = json.loads(line)
    seconds, check = works[request["work"]](request)
    told = {"wallMs": seconds * 1000, "device": DEVICE} if IS_WALL else {"cpuMs": seconds * 1000}
    print(json.dumps({**told, "check": check}), flush=True)
