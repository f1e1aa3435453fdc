"""The quote model for training: a Llama whose context is computed once for several questions.

Same function as transformers' LlamaForCausalLM (evaluate.py checks it); the difference is the batch
shape: contexts [B, P] and, for each, N independent question-and-answer rows [B, N, T] that see the
context and themselves, never each other. This trains N answers for the price of one context.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F


HIDDEN_BIAS = -1e9
WRITE_STD = 0.002
WRITE_GAIN = 8.0
COPY_GAIN = 0.2
PROBE_GAIN = 0.8
PROBE_PAIRS = 4
SLOW_PAIRS = 9
MATCH_GAIN = 3.0


@dataclass(frozen=True)
class Shape:
    """Sizes of the model, named as in config.json."""

    vocab_size: int = 4096
    hidden_size: int = 192
    intermediate_size: int = 512
    num_hidden_layers: int = 4
    num_attention_heads: int = 6
    num_key_value_heads: int = 3
    head_dim: int = 32
    max_position_embeddings: int = 1024
    rope_theta: float = 1000000.0
    rms_norm_eps: float = 1e-5


class Attention(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.heads, self.groups, self.size = shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim
        width, kv = self.heads * self.size, self.groups * self.size
        self.q_proj = nn.Linear(shape.hidden_size, width, bias=False)
        self.k_proj = nn.Linear(shape.hidden_size, kv, bias=False)
        self.v_proj = nn.Linear(shape.hidden_size, kv, bias=False)
        self.o_proj = nn.Linear(width, shape.hidden_size, bias=False)

    def keys_values(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Rotated keys and plain values [batch, groups, length, size] of x [batch, length, hidden]."""
        batch, length, _ = x.shape
        k = self.k_proj(x).view(batch, length, self.groups, self.size).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, self.groups, self.size).transpose(1, 2)
        return rotate(k, rope), v

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], k: Tensor, v: Tensor) -> Tensor:
        """Causal attention of x [batch, length, hidden] over its own k, v."""
        batch, length, _ = x.shape
        q = rotate(self.q_proj(x).view(batch, length, self.heads, self.size).transpose(1, 2), rope)
        repeats = self.heads // self.groups
        k, v = k.repeat_interleave(repeats, dim=1), v.repeat_interleave(repeats, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, self.heads * self.size))

    def across(self, x: Tensor, rope, shared: tuple[Tensor, ...], own: tuple[Tensor, ...]) -> Tensor:
        """Attention of rows x [B*N, T, hidden] over the context (shared) and, causally, themselves (own).

        `shared`: k, v [B, groups, P, size] and bias [B, P]; `own`: k, v [B*N, groups, T, size] and bias [T, T].
        Biases are 0 where a key may be seen, else very negative. One softmax over both parts: the largest
        score of either is subtracted from both, and the sums are carried as an extra column of the values.
        """
        (k_c, v_c, bias_c), (k_r, v_r, bias_r) = shared, own
        (b, g, p, d), (rows, t, _) = k_c.shape, x.shape
        n, r = rows // b, self.heads // g
        q = rotate(self.q_proj(x).view(rows, t, self.heads, d).transpose(1, 2), rope) * d**-0.5
        q_c = q.view(b, n, g, r, t, d).permute(0, 2, 3, 1, 4, 5).reshape(b * g, r * n * t, d)
        q_r = q.reshape(rows * g, r * t, d)
        s_c = (q_c @ k_c.reshape(b * g, p, d).mT).view(b, g, -1, p) + bias_c.to(q.dtype)[:, None, None]
        s_r = (q_r @ k_r.reshape(rows * g, t, d).mT).view(rows * g, r, t, t) + bias_r.to(q.dtype)
        with torch.no_grad():
            most_c = s_c.amax(-1).view(b, g, r, n, t).permute(0, 3, 1, 2, 4)
            most = torch.maximum(most_c, s_r.amax(-1).view(b, n, g, r, t))
        e_c = (s_c - most.permute(0, 2, 3, 1, 4).reshape(b, g, -1, 1)).exp().view(b * g, -1, p)
        e_r = (s_r - most.reshape(rows * g, r, t, 1)).exp().view(rows * g, -1, t)
        o_c = (e_c @ with_ones(v_c).reshape(b * g, p, d + 1)).view(b, g, r, n, t, d + 1)
        o_r = (e_r @ with_ones(v_r).reshape(rows * g, t, d + 1)).view(b, n, g, r, t, d + 1)
        o = o_c.permute(0, 3, 4, 1, 2, 5) + o_r.permute(0, 1, 4, 2, 3, 5)
        return self.o_proj((o[..., :d] / o[..., d:]).reshape(rows, t, self.heads * d))


def with_ones(v: Tensor) -> Tensor:
    """Values with a last column of ones, whose attended sum is the softmax's denominator."""
    return torch.cat([v, v.new_ones(*v.shape[:-1], 1)], dim=-1)


class Mlp(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.hidden_size, eps=shape.rms_norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden_size, eps=shape.rms_norm_eps)
        self.mlp = Mlp(shape)


class QuoteModel(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))
        self.norm = nn.RMSNorm(shape.hidden_size, eps=shape.rms_norm_eps)
        initialise(self)

    def forward(self, context: Tensor, lengths: Tensor, rows: Tensor) -> Tensor:
        """Final hidden states [B, N, T, hidden] of rows [B, N, T] after contexts [B, P].

        `lengths` [B]: tokens of each context that are real; the rows' positions continue from there.
        """
        (_, span), (_, count, width) = context.shape, rows.shape
        steps = torch.arange(span)
        bias_c = (steps[None] >= lengths[:, None]).float() * HIDDEN_BIAS
        bias_r = torch.full((width, width), HIDDEN_BIAS).triu(1)
        rope_c = angles(steps[None], self.shape)
        rope_r = angles((lengths[:, None] + torch.arange(width)).repeat_interleave(count, dim=0), self.shape)
        c, r = self.embed_tokens(context), self.embed_tokens(rows.flatten(0, 1))
        for index, layer in enumerate(self.layers):
            c_in, r_in = layer.input_layernorm(c), layer.input_layernorm(r)
            c_kv = layer.self_attn.keys_values(c_in, rope_c)
            r_kv = layer.self_attn.keys_values(r_in, rope_r)
            r = r + layer.self_attn.across(r_in, rope_r, (*c_kv, bias_c), (*r_kv, bias_r))
            r = r + layer.mlp(layer.post_attention_layernorm(r))
            if index + 1 < len(self.layers):  # The last layer's context states are read by nobody.
                c = c + layer.self_attn(c_in, rope_c, *c_kv)
                c = c + layer.mlp(layer.post_attention_layernorm(c))
        return self.norm(r).view(-1, count, width, self.shape.hidden_size)

    def logits(self, states: Tensor) -> Tensor:
        """Logits over the vocabulary; the embedding is tied."""
        return F.linear(states, self.embed_tokens.weight)


@torch.no_grad()
def initialise(model: QuoteModel) -> None:
    """Random weights with two leanings that shorten the way to a copying circuit.

    1. All embeddings share one direction, and four heads of the first layer read only it, so that they
       attend by distance alone: to 1, 2, 1 and 3 tokens back. Later layers can match what came before.
    2. From the second layer on, each head writes back a little of what its values read (O = c V^T):
       attending to a token raises that token, the embedding being tied.
    """
    shape, std = model.shape, model.shape.hidden_size**-0.5
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=std)
    for layer in model.layers:
        nn.init.normal_(layer.self_attn.o_proj.weight, std=WRITE_STD)
        nn.init.normal_(layer.mlp.down_proj.weight, std=WRITE_STD)
    shared = F.normalize(torch.randn(shape.hidden_size), dim=0)
    model.embed_tokens.weight.add_(shared)

    first = model.layers[0].self_attn
    first.k_proj.weight.view(first.groups, first.size, -1)[:2] = torch.outer(distance_probe(0, shape), shared)
    for head, distance in enumerate((1, 2, 1, 3)):
        first.q_proj.weight.view(first.heads, first.size, -1)[head] = torch.outer(distance_probe(distance, shape), shared)

    repeats = shape.num_attention_heads // shape.num_key_value_heads
    for layer in model.layers[1:]:
        values = layer.self_attn.v_proj.weight.view(shape.num_key_value_heads, shape.head_dim, -1)
        written = values.repeat_interleave(repeats, dim=0).flatten(0, 1).T
        layer.self_attn.o_proj.weight.add_(COPY_GAIN * written)

    half, slow = shape.head_dim // 2, shape.head_dim // 2 - SLOW_PAIRS
    slots = torch.cat([torch.arange(slow, half), torch.arange(half + slow, shape.head_dim)])
    values = first.v_proj.weight.view(first.groups, first.size, -1)
    written = first.o_proj.weight.view(-1, first.heads, first.size)
    read = torch.linalg.qr(values.flatten(0, 1).T).Q
    for head in (0, 2):
        written[:, head] *= WRITE_GAIN
        written[:, head] -= read @ (read.T @ written[:, head])
    second = model.layers[1].self_attn
    queries = second.q_proj.weight.view(second.heads, second.size, -1)
    keys = second.k_proj.weight.view(second.groups, second.size, -1)
    for group, (head, start) in enumerate(((0, 0), (0, shape.head_dim - len(slots)), (2, 0))):
        part = slice(start, start + len(slots))
        keys[group] *= 0.2
        queries[group * repeats] *= 0.2
        keys[group, slots] = MATCH_GAIN * F.normalize(written[:, head, part], dim=0).T
        queries[group * repeats, slots] = MATCH_GAIN * F.normalize(values[head // repeats, part], dim=1)


def distance_probe(distance: int, shape: Shape) -> Tensor:
    """A query [head_dim] whose rotary score against the probe of distance 0 peaks `distance` tokens back.

    Only the PROBE_PAIRS fastest rotary pairs are used: they tell neighbours apart.
    """
    half = shape.head_dim // 2
    pairs = torch.arange(PROBE_PAIRS)
    phases = -distance * shape.rope_theta ** (-pairs / half)
    probe = torch.zeros(shape.head_dim)
    probe[pairs], probe[half + pairs] = PROBE_GAIN * phases.cos(), PROBE_GAIN * phases.sin()
    return probe


def angles(positions: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosine and sine [batch, 1, length, head_dim] of rotary positions [batch, length]."""
    powers = torch.arange(0, shape.head_dim, 2).float() / shape.head_dim
    phases = positions[..., None].float() * (1.0 / shape.rope_theta**powers)
    phases = torch.cat([phases, phases], dim=-1).unsqueeze(1)
    return phases.cos(), phases.sin()


def rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary embedding, Llama's half-split form."""
    cos, sin = rope
    a, b = x.chunk(2, dim=-1)
    return (x * cos + torch.cat([-b, a], dim=-1) * sin).to(x.dtype)


def write(model: QuoteModel, folder: Path, ids: dict[str, int]) -> None:
    """Write config.json, generation_config.json and model.safetensors (fp32) as transformers reads them.

    `ids`: bos_token_id, eos_token_id, pad_token_id.
    """
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **asdict(model.shape),
        **ids,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "mlp_bias": False,
        "pretraining_tp": 1,
        "rope_scaling": None,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "use_cache": True,
    }
    generation = {**ids, "do_sample": False, "max_new_tokens": 64}
    for name, value in (("config.json", config), ("generation_config.json", generation)):
        (folder / name).write_text(json.dumps(value, indent=2) + "\n")
    weights = {f"model.{name}": tensor.detach().float().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})


def read(folder: Path) -> QuoteModel:
    """Read back what `write` wrote."""
    config = json.loads((folder / "config.json").read_text())
    model = QuoteModel(Shape(**{name: config[name] for name in asdict(Shape())}))
    weights = load_file(str(folder / "model.safetensors"))
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in weights.items()})
    return model
