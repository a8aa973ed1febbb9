"""A checkpoint folder of the published layout, made of the end-to-end vectors' tiny networks."""

import json
import shutil
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "trellis2"
CLASSES = {
    "sparse_structure_flow_model": "SparseStructureFlowModel",
    "sparse_structure_decoder": "SparseStructureDecoder",
    "shape_slat_flow_model_512": "ElasticSLatFlowModel",
    "shape_slat_flow_model_1024": "SLatFlowModel",
    "tex_slat_flow_model_512": "ElasticSLatFlowModel",
    "tex_slat_flow_model_1024": "SLatFlowModel",
    "shape_slat_decoder": "FlexiDualGridVaeDecoder",
    "tex_slat_decoder": "SparseUnetVaeDecoder",
}
SAMPLERS = {"sparse_structure": "sparse_structure", "shape": "shape_slat", "tex": "tex_slat"}
DECODER = "microsoft/TRELLIS-image-large/ckpts/sparse_structure_decoder"


def make_checkpoint(folder: Path) -> Path:
    """Writes pipeline.json, ckpts/, the structure decoder's and the encoder's folders into `folder`; returns it."""
    for place in ("ckpts", "dinov3", "TRELLIS-image-large/ckpts"):
        (folder / place).mkdir(parents=True)
    whole = config("e2e_512")
    for name, kind in CLASSES.items():
        path = folder / (DECODER.split("/", 1)[1] if name == "sparse_structure_decoder" else f"ckpts/{name}")
        path.with_suffix(".json").write_text(json.dumps({"name": kind, "args": config(f"e2e_{name}")}))
        shutil.copy(GOLDEN / f"e2e_{name}.weights.safetensors", path.with_suffix(".safetensors"))
    (folder / "dinov3" / "model.json").write_text(json.dumps(config("e2e_image_cond_model")))
    shutil.copy(GOLDEN / "e2e_image_cond_model.weights.safetensors", folder / "dinov3" / "model.safetensors")
    models = {name: f"ckpts/{name}" for name in CLASSES} | {"sparse_structure_decoder": DECODER}
    args = {"models": models, "default_pipeline_type": "1024_cascade"}
    args["image_cond_model"] = {"name": "DinoV3FeatureExtractor", "args": {"model_name": "facebook/dinov3"}}
    for name, key in SAMPLERS.items():
        args[f"{key}_sampler"] = {
            "name": "FlowEulerGuidanceIntervalSampler",
            "args": {"sigma_min": whole["sigma_min"]},
            "params": whole["samplers"][name],
        }
    for kind in ("shape", "tex"):
        args[f"{kind}_slat_normalization"] = whole[f"{kind}_slat_normalization"]
    (folder / "pipeline.json").write_text(json.dumps({"name": "Trellis2ImageTo3DPipeline", "args": args}))
    return folder


def config(name: str) -> dict:
    return json.loads((GOLDEN / f"{name}.json").read_text())["config"]
