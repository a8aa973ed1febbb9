# SPDX-License-Identifier: GPL-3.0-or-later
"""UniRig in plain PyTorch: a skeleton and skin weights for any mesh (Zhang et al., "One Model to Rig Them All",
SIGGRAPH 2025).

`engine.UniRigRigger` is the rigger, `pipeline.UniRigPipeline` the way of one mesh through both networks: `prepare`
(welding, decimation, the cube), `sampling`, `encoder` and `opt` (points to tokens), `grammar`, `generate`, `skeleton`
(tokens to joints), then `skin` (joints to weights; `geodesic`, `voxels`, `ptv3`, `skin_network`, `resample`).
`verify` compares all of it with the original's results.

All coordinates inside the package have z up, the character faces -y, its left is +x ("UniRig axes"). Only `pipeline`
knows glTF axes.
"""
