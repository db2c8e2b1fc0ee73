"""Small random models that can be trained in seconds: they draw nothing that anybody could recognise, by the same way as
the real ones."""
import json
import os
import pathlib
import shutil
import struct

import pytest
from conftest import SHARED

GOLDEN = pathlib.Path(os.environ.get("GOLDEN_IDENTITY", SHARED / "golden-identity"))
TOY = {
    "format": 1, "name": "toy", "transformer": "transformer.safetensors", "autoencoder": "autoencoder.safetensors",
    "text": {"kind": "qwen3", "encoder": "encoder.safetensors", "tokenizer": "tokenizer", "taps": [1, 2, 3], "length": 40},
    "resolution": 48, "steps": 2, "guidance": 2, "trainable": True,
    "training": {"steps": 40, "rank": 4, "batch": 4, "warmup": 4},
}


def make_toy(folder, **changes):
    """A model's folder; skips the test where the material is absent. Beside it the model that ships is hidden by one of its
    name that cannot be read, so that this one is the usual one."""
    if not GOLDEN.is_dir():
        pytest.skip("../shared is absent")
    folder.mkdir(parents=True)
    for name, source in (("transformer", "a_model"), ("autoencoder", "vae_model_bf16"), ("encoder", "qwen_tiny_bf16")):
        shutil.copy(GOLDEN / f"{source}.safetensors", folder / f"{name}.safetensors")
        (folder / f"{name}.safetensors").chmod(0o644)
    shutil.copytree(GOLDEN / "toy_tokenizer", folder / "tokenizer")
    (folder / "model.json").write_text(json.dumps({**TOY, **changes}))
    (folder.parent / "sprite").mkdir(exist_ok=True)
    (folder.parent / "sprite/model.json").write_text("{}")
    return folder


def poison(model):
    """Its last weights become no numbers."""
    with open(model / "transformer.safetensors", "r+b") as file:
        file.seek(-400, os.SEEK_END)
        file.write(struct.pack("<f", float("nan")))
    return model
