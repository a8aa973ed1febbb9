# SPDX-License-Identifier: GPL-3.0-or-later
"""UniRig in plain PyTorch: a skeleton and skin weights for any mesh (Zhang et al., "One Model to Rig Them All", SIGGRAPH 2025).

CONTRACT between the skeleton half and the skin half. All arrays are numpy unless said otherwise; all coordinates inside the package have
z up, the character faces -y, its left is +x ("UniRig axes"), in the input's units. Only `engine.py` knows glTF axes.

Skeleton half:
    prepare.Prepared        vertices (V, 3) f32, faces (F, 3) i64, vertex_normals (V, 3), face_normals (F, 3) f32: welded, <= 50 000 faces
    prepare.Affine          centre (3,) f64, scale f64; apply(points) to the cube [-1, 1]^3, invert(points) back
    prepare.normalisation(*points (n, 3)) -> Affine of all given points (skeleton stage: vertices; skin stage: vertices, joints)
    sampling.sample(mesh: Prepared, total, vertex_samples, rng: np.random.RandomState) -> Samples
                            `mesh` is already in the cube: dataclasses.replace(mesh, vertices=affine.apply(mesh.vertices))
    sampling.Samples        points (N, 3) f32, normals (N, 3) f32; the first len(vertex_index) are vertices; interpolate((V, C)) -> (N, C)
    sampling.normaliser_draws(rng)          the two draws that come before `sample` in the original's stream
    encoder.MeshEncoder(EncoderConfig | None)
                            forward(points (B, N, 3), normals (B, N, 3)) -> (B, tokens, width); keys as below `mesh_encoder.encoder.` and
                            `global_encoder.encoder.`
    checkpoint.load(weights: Path, network: Callable[[], nn.Module], device) -> nn.Module in eval mode, fp32
    verify.py               imports CHECKS of verify_skeleton and verify_skin; both register with `@check("prefix")` of verify_cases.py

Skin half:
    skin.build(config: dict) -> nn.Module       {} = the shipped sizes; keys without the leading `model.`
    skin.set_precision(model, dtype)            half precision where the spec allows it (not in PTv3)
    skin.predict(model, mesh: Prepared, joints (J, 3), parents (J,) -1 = root, vertices (W, 3), triangles (T, 3), seed, progress,
                 samples=32768, vertex_samples=8192)
                            -> weight_joint (W, 4) int64, weight (W, 4) f64: rows finite, sum to 1, strongest first, unused entries 0.
                            `vertices`, `triangles` are the ones given by the user, in UniRig axes; W, T may be anything, T may be 0.
                            progress(fraction 0..1 of the skin stage, message) may raise Cancelled.
    skin.bench(model, mesh, joints, parents, vertices, triangles, device) -> list of bench.Row (see bench.py)
"""
