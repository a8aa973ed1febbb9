# SPDX-License-Identifier: GPL-3.0-or-later
"""DINOv3 ViT (arXiv 2508.10104): a picture's tokens before the final norm. Parameters are named as in transformers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Embeddings(nn.Module):
    def __init__(self, width: int, patch: int, registers: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))  # part of the checkpoint, used in training only
        self.register_tokens = nn.Parameter(torch.zeros(1, registers, width))
        self.patch_embeddings = nn.Conv2d(3, width, patch, patch)

    def forward(self, picture: Tensor) -> Tensor:
        patches = self.patch_embeddings(picture).flatten(2).transpose(1, 2)
        prefix = torch.cat([self.cls_token, self.register_tokens], 1).expand(len(patches), -1, -1)
        return torch.cat([prefix, patches], 1)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, query_bias: bool, key_bias: bool, value_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width, bias=query_bias)
        self.k_proj = nn.Linear(width, width, bias=key_bias)
        self.v_proj = nn.Linear(width, width, bias=value_bias)
        self.o_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        layers = (self.q_proj, self.k_proj, self.v_proj)
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in layers)
        y = F.scaled_dot_product_attention(turn_patches(q, cos, sin), turn_patches(k, cos, sin), v)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.up_proj, self.down_proj = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.gelu(self.up_proj(x)))


class LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.lambda1 = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.lambda1


class Block(nn.Module):
    def __init__(self, width: int, inner: int, eps: float, attention: Attention) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)
        self.attention, self.mlp = attention, Mlp(width, inner)
        self.layer_scale1, self.layer_scale2 = LayerScale(width), LayerScale(width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.layer_scale1(self.attention(self.norm1(x), cos, sin))
        return x + self.layer_scale2(self.mlp(self.norm2(x)))


class DinoV3(nn.Module):
    """Pictures (b, 3, height, width), normalised as `preprocess.normalise` does, -> all tokens (b, 1 + registers +
    patches, width), patches row by row.
    """

    def __init__(
        self,
        hidden_size: int = 1024,
        intermediate_size: int = 4096,
        num_hidden_layers: int = 24,
        num_attention_heads: int = 16,
        patch_size: int = 16,
        num_register_tokens: int = 4,
        query_bias: bool = True,
        key_bias: bool = False,
        value_bias: bool = True,
        rope_theta: float = 100.0,
        layer_norm_eps: float = 1e-5,
        **_: object,
    ) -> None:
        super().__init__()
        self.patch, self.theta, self.head_width = patch_size, rope_theta, hidden_size // num_attention_heads
        self.embeddings = Embeddings(hidden_size, patch_size, num_register_tokens)
        self.layer = nn.ModuleList(
            Block(
                hidden_size,
                intermediate_size,
                layer_norm_eps,
                Attention(hidden_size, num_attention_heads, query_bias, key_bias, value_bias),
            )
            for _ in range(num_hidden_layers)
        )
        # Part of the checkpoint; TRELLIS.2 takes the tokens before it.
        self.norm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)

    def forward(self, picture: Tensor) -> Tensor:
        rows, columns = (side // self.patch for side in picture.shape[2:])
        cos, sin = patch_rotation(rows, columns, self.head_width, self.theta, picture.device)
        tokens = self.embeddings(picture.to(self.embeddings.cls_token.dtype))
        for block in self.layer:
            tokens = block(tokens, cos, sin)
        return tokens


def patch_rotation(
    rows: int, columns: int, width: int, theta: float, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """cos, sin (rows * columns, width): the angles of patch centres in -1..1, y's frequencies, then x's, twice over."""
    y, x = ((torch.arange(n, dtype=torch.float32, device=device) + 0.5) / n * 2 - 1 for n in (rows, columns))
    rates = theta ** -(torch.arange(0, 1, 4 / width, dtype=torch.float32, device=device))
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).view(-1, 2)
    angles = (2 * math.pi * grid[:, :, None] * rates).flatten(1).tile(1, 2)
    return angles.cos(), angles.sin()


def turn_patches(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x (b, heads, tokens, width) with the last tokens, the patches, turned; halves of a head are the two parts."""
    prefix = x.shape[2] - len(cos)
    patches = x[:, :, prefix:]
    low, high = patches.chunk(2, -1)
    turned = patches * cos + torch.cat([-high, low], -1) * sin
    return torch.cat([x[:, :, :prefix], turned.to(x.dtype)], 2)


def condition(tokens: Tensor) -> Tensor:
    """The tokens as the flows are conditioned on them: a parameter-free layer norm, fp32."""
    return F.layer_norm(tokens.float(), tokens.shape[-1:])


def from_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the ungated copy, which timm names otherwise, under the names of transformers.

    timm leaves out the query and value biases, which are zero, and the mask token. Other names are kept, so that a
    file that does not fit is refused by the name of what is wrong.
    """
    if "cls_token" not in state:
        return state
    outer = {"cls_token": "embeddings.cls_token", "reg_token": "embeddings.register_tokens"}
    inner = {
        "attn.proj": "attention.o_proj",
        "mlp.fc1": "mlp.up_proj",
        "mlp.fc2": "mlp.down_proj",
        "gamma_1": "layer_scale1.lambda1",
        "gamma_2": "layer_scale2.lambda1",
    }
    out: dict[str, Tensor] = {"embeddings.mask_token": torch.zeros_like(state["cls_token"])}
    for name, value in state.items():
        if name in outer:
            out[outer[name]] = value
        elif name.startswith("patch_embed.proj."):
            out[name.replace("patch_embed.proj", "embeddings.patch_embeddings")] = value
        elif not name.startswith("blocks."):
            out[name] = value
        else:
            _, number, rest = name.split(".", 2)
            layer = f"layer.{number}."
            if rest == "attn.qkv.weight":
                parts = zip("qkv", value.chunk(3), strict=True)
                out |= {f"{layer}attention.{part}_proj.weight": rows for part, rows in parts}
                for part in "qv":
                    out[f"{layer}attention.{part}_proj.bias"] = value.new_zeros(value.shape[1])
            else:
                old = next((old for old in inner if rest == old or rest.startswith(old + ".")), None)
                out[layer + (rest if old is None else inner[old] + rest.removeprefix(old))] = value
    return out
