# SPDX-License-Identifier: GPL-3.0-or-later
"""SkinTokens in plain PyTorch: skin weights for a skeleton that is given, or a skeleton of its own (TokenRig; Zhang et
al., "SkinTokens", arXiv 2602.04805, 2026; shared/reference/skintokens.md).

`engine.SkinTokensRigger` is the rigger, `pipeline.SkinTokensPipeline` the way of one mesh through the networks:
`prepare` (the cube, points), `networks` (prefix and skin tokens: `qwen`, `grammar`, `tokens`), `skin_vae` (tokens to
weights: `embedding`), `transfer` (points to vertices). `humanoid` and `fingers` place the VRM skeleton inside the mesh.
`verify` compares all of it with the original's results.

All coordinates inside the package have z up, the character faces -y, its left is +x. Only `pipeline` knows glTF axes.
"""
