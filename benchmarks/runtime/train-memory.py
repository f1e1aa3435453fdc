"""The peer of 25-train-memory.ts: transformers and PEFT, three steps with AdamW. Prints the peak MiB as JSON."""
import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
base = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32, attn_implementation="sdpa")
model = PeftModel.from_pretrained(base, sys.argv[2], is_trainable=True).train()
optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-4, weight_decay=0)
token_ids = torch.randint(0, 4096, (4, 128), generator=torch.Generator().manual_seed(7))
for _ in range(3):
    optimizer.zero_grad()
    logits = model(input_ids=token_ids, use_cache=False).logits
    torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), token_ids[:, 1:].flatten()).backward()
    optimizer.step()
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps({"peakMiB": peak / 1024}))
