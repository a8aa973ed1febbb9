# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of one checkpoint, under its names: shape encoder, language model, skin network
(shared/reference/skintokens.md 2, 4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..nn.decoding import Session
from ..nn.point_encoder import EncoderConfig, Linear, MeshEncoder
from .qwen import Decoder, QwenConfig
from .skin_vae import SkinConfig, SkinNetwork

CODES_PER_JOINT = 4
PREFIX_NORM_EPS = 1.1920929e-07  # fp32's, whatever the precision


@dataclass(frozen=True)
class ModelConfig:
    """The released sizes."""

    encoder: EncoderConfig = field(default_factory=lambda: EncoderConfig(layers=8, tokens=512))
    language: QwenConfig = field(default_factory=QwenConfig)
    skin: SkinConfig = field(default_factory=SkinConfig)

    @classmethod
    def of(cls, config: dict[str, Any], vocabulary: int | None = None) -> ModelConfig:
        """From the original's configuration {"enc", "vae", "llm", "tokens_skin_cond"}, all optional. Raises ValueError
        for sizes that no network has, and what Python raises for values of a wrong kind.
        """
        released = {"num_encoder_layers": 8, "token_num": 512}
        parts = (
            EncoderConfig.of({**released, **config.get("enc", {})}),
            QwenConfig.of(config.get("llm", {}), vocabulary),
            SkinConfig.of(config.get("vae", {}), config.get("tokens_skin_cond")),
        )
        for name, value in (item for part in parts for item in vars(part).items()):
            if isinstance(value, int) and not isinstance(value, bool) and value < 1:
                raise ValueError(f"{name} is {value}")
        return cls(*parts)


class ShapeEncoder(nn.Module):
    """Points to the language model's prefix: the perceiver under the checkpoint's names, a linear layer, a norm."""

    def __init__(self, config: EncoderConfig, hidden: int) -> None:
        super().__init__()
        self.mesh_encoder = MeshEncoder(config)
        self.output_proj = nn.Sequential(Linear(config.width, hidden), nn.RMSNorm(hidden, PREFIX_NORM_EPS))

    def project(self, latents: Tensor) -> Tensor:
        """Latents (b, tokens, width) to the prefix (b, tokens, hidden) fp32."""
        linear, norm = self.output_proj
        return norm(linear(latents).float())

    def forward(self, points: Tensor, normals: Tensor) -> Tensor:
        """Points and normals (b, n, 3) in the cube to the prefix (b, tokens, hidden) fp32."""
        return self.project(self.mesh_encoder(points, normals))


class SkinTokensModel(ShapeEncoder):
    """Everything that inference needs of the checkpoint."""

    def __init__(self, config: ModelConfig | None = None) -> None:
        c = config or ModelConfig()
        super().__init__(c.encoder, c.language.hidden)
        self.config = c
        self.transformer = nn.ModuleDict({"model": Decoder(c.language)})
        self.vae = nn.ModuleDict({"model": SkinNetwork(c.skin)})

    @property
    def decoder(self) -> Decoder:
        decoder = self.transformer["model"]
        assert isinstance(decoder, Decoder)
        return decoder

    @property
    def skin(self) -> SkinNetwork:
        network = self.vae["model"]
        assert isinstance(network, SkinNetwork)
        return network

    def set_dtype(self, dtype: torch.dtype) -> None:
        """Linear layers and the token table compute in `dtype`; residuals and norms stay fp32."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.to(dtype)

    def logits(self, prefix: Tensor, tokens: Tensor) -> Tensor:
        """Prefix (b, t, hidden) and tokens (b, n) to logits (b, n, vocabulary): the prediction after each token."""
        x, _ = self.decoder.hidden(self.decoder.rows(prefix, tokens))
        return self.decoder.vocabulary(x[:, prefix.shape[1] :])

    def session(self, prefix: Tensor, start: list[int], beams: int, graphs: bool | None = None) -> Session:
        """A decoding of one shape by `beams` beams that all begin with the tokens `start`."""
        return Session(self.decoder, prefix, start, beams, graphs)
