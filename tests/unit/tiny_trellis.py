"""A checkpoint folder of the published layout, made of the end-to-end vectors' tiny networks."""

import json
import shutil
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "trellis"
CLASSES = {
    "sparse_structure_flow_model": "SparseStructureFlowModel",
    "sparse_structure_decoder": "SparseStructureDecoder",
    "slat_flow_model": "ElasticSLatFlowModel",
    "slat_decoder_mesh": "SLatMeshDecoder",
    "slat_decoder_gs": "SLatGaussianDecoder",
    "image_cond_model": "DinoVisionTransformer",
}


def make_checkpoint(folder: Path) -> Path:
    """Writes pipeline.json and ckpts/ into `folder`; returns it."""
    (folder / "ckpts").mkdir(parents=True)
    stages = json.loads((GOLDEN / "e2e_stages.json").read_text())["config"]
    for name, kind in CLASSES.items():
        args = json.loads((GOLDEN / f"e2e_{name}.json").read_text())["config"]
        (folder / "ckpts" / f"{name}.json").write_text(json.dumps({"name": kind, "args": args}))
        shutil.copy(GOLDEN / f"e2e_{name}.weights.safetensors", folder / "ckpts" / f"{name}.safetensors")

    def sampler(params: dict) -> dict:
        return {
            "name": "FlowEulerGuidanceIntervalSampler",
            "args": {"sigma_min": stages["sigma_min"]},
            "params": params,
        }

    args = {
        "models": {name: f"ckpts/{name}" for name in CLASSES if name != "image_cond_model"},
        "image_cond_model": "ckpts/image_cond_model",
        "sparse_structure_sampler": sampler(stages["sparse_structure_sampler"]),
        "slat_sampler": sampler(stages["slat_sampler"]),
        "slat_normalization": stages["slat_normalization"],
    }
    (folder / "pipeline.json").write_text(json.dumps({"name": "TrellisImageTo3DPipeline", "args": args}))
    return folder
