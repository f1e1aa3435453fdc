"""The transformers side of `rag`: log-probabilities of an answer under many prompts, one call at a time.

Reads one JSON request per line, {"model", "prompts": [[id]], "answer": [id]}, answers with CPU ms and the sum as a check.
"""

import json
import sys
import time

import torch
import transformers

torch.set_num_threads(1)
models: dict = {}


@torch.inference_mode()
def log_probs(request):
    folder = request["model"]
    if folder not in models:
        models[folder] = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
    model, answer = models[folder], request["answer"]
    start = time.process_time()
    total = 0.0
    for prompt in request["prompts"]:
        ids = torch.tensor([prompt + answer])
        # Logits of the answer's tokens alone, as transformers offers it.
        logits = model(input_ids=ids[:, :-1], use_cache=False, logits_to_keep=len(answer)).logits[0]
        total += torch.log_softmax(logits, dim=-1).gather(1, ids[0, -len(answer):, None]).sum().item()
    return time.process_time() - start, total


for line in sys.stdin:
    seconds, check = log_probs(json.loads(line))
    print(json.dumps({"cpuMs": seconds * 1000, "check": check}), flush=True)
