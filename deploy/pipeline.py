# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubeflow pipeline: `python deploy/pipeline.py` compiles it to avatar_pipeline.yaml beside it (needs kfp, see
deploy/requirements.txt; docs/cluster.md). Every step is a command of the container image.
"""

from pathlib import Path

from kfp import compiler, dsl

IMAGE = "registry.example.org/avatar-forge:cpu"
CUDA_IMAGE = "registry.example.org/avatar-forge:cuda"
WORK = f"{dsl.WORKSPACE_PATH_PLACEHOLDER}"
BATCH = ["/opt/blender/bin/python", "/opt/avatar_forge/avatar_addon/batch.py", "--"]
REPORT = ["/opt/blender/bin/python", "-m", "avatar_addon.report"]
BACKEND = ["/opt/backend/bin/python", "-P", "-m", "backend"]


@dsl.container_component
def prepare(name: str, folder: str):
    """Says no before the GPU is used: the picture must show one whole figure."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=[*BACKEND, "step", "analyse"],
        args=["--picture", dsl.ConcatPlaceholder([folder, "/", name])],
    )


@dsl.container_component
def generate(name: str, folder: str, engine: str, seed: int, work: str):
    picture = dsl.ConcatPlaceholder([folder, "/", name])
    return dsl.ContainerSpec(
        image=CUDA_IMAGE,
        command=[*BACKEND, "step", "generate"],
        args=[
            "--picture",
            picture,
            "--engine",
            engine,
            "--seed",
            seed,
            "--out",
            dsl.ConcatPlaceholder([work, "/", name]),
        ],
    )


@dsl.container_component
def rig_and_export(name: str, folder: str, author: str, work: str):
    """Rig, face and VRM in Blender; with a receipt and the run folder."""
    own = dsl.ConcatPlaceholder([work, "/", name])
    return dsl.ContainerSpec(
        image=IMAGE,
        command=BATCH,
        args=[
            dsl.ConcatPlaceholder([folder, "/", name]), "--generated", own, "--out", own, "--name", "avatar",
            "--author", author, "--blend", "--online-mode",
            "--json",
        ],
    )  # fmt: skip


@dsl.container_component
def validate(name: str, work: str):
    """The gate: the step fails if a check of the report card fails, and nothing is promoted."""
    return dsl.ContainerSpec(
        image=IMAGE, command=REPORT, args=["--json", dsl.ConcatPlaceholder([work, "/", name, "/avatar.vrm"])]
    )


@dsl.container_component
def promote(name: str, folder: str, work: str, bucket: str, endpoint: str):
    """The batch keeps the avatar and promotes it; the same content once."""
    own = dsl.ConcatPlaceholder([work, "/", name])
    return dsl.ContainerSpec(
        image=IMAGE,
        command=BATCH,
        args=[
            dsl.ConcatPlaceholder([folder, "/", name]), "--out", own, "--name", "avatar", "--bucket", bucket,
            "--endpoint", endpoint, "--prefix", dsl.ConcatPlaceholder([name, "/"]), "--online-mode", "--json",
        ],
    )  # fmt: skip


@dsl.container_component
def log():
    """Sends the recorded runs to MLflow."""
    return dsl.ContainerSpec(image=IMAGE, command=[*BACKEND, "sync"], args=["--patient"])


@dsl.pipeline(
    name="avatar-forge",
    description="Pictures of characters become VRM avatars",
    pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="20Gi")),
)
def avatar_pipeline(
    pictures: list,
    folder: str,
    bucket: str,
    endpoint: str = "",
    engine: str = "preview",
    seed: int = 0,
    author: str = "",
):
    """pictures: names of files in `folder`, which is on a volume that all steps see."""
    with dsl.ParallelFor(items=pictures, parallelism=4) as name:
        ready = prepare(name=name, folder=folder)
        mesh = generate(name=name, folder=folder, engine=engine, seed=seed, work=WORK).after(ready)
        mesh.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1).set_retry(2)
        avatar = rig_and_export(name=name, folder=folder, author=author, work=WORK).after(mesh)
        checked = validate(name=name, work=WORK).after(avatar)
        promoted = promote(name=name, folder=folder, work=WORK, bucket=bucket, endpoint=endpoint).after(checked)
        promoted.set_caching_options(False)
        log().after(promoted).set_caching_options(False)


if __name__ == "__main__":
    compiler.Compiler().compile(avatar_pipeline, str(Path(__file__).with_name("avatar_pipeline.yaml")))
