"""The peer of 20-load.ts: transformers, from process start to the first token. Prints CPU ms and peak MiB as JSON."""
import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
token_ids = torch.tensor([[(index * 37) % 4000 for index in range(128)]])
with torch.inference_mode():
    token_id = int(model(token_ids, logits_to_keep=1).logits[0, -1].argmax())
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(json.dumps({"tokenId": token_id, "cpuMs": time.process_time() * 1000, "peakMiB": peak / 1024}))
