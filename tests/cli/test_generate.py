"""Pictures from prompts, with the small random networks of the golden data as a model."""
import json
import shutil
import struct

import pytest
from conftest import assert_refused, troupe, troupe_json

FILES = {"transformer": "a_model.safetensors", "autoencoder": "vae_model_bf16.safetensors"}
TEXT = {"kind": "qwen3", "encoder": "qwen_tiny_bf16.safetensors", "tokenizer": "toy_tokenizer", "taps": [1, 2, 3], "length": 40}
PROMPT = "a photo of a woman"


@pytest.fixture(scope="session")
def models(shared, tmp_path_factory):
    golden = shared / "golden-identity"
    folder = tmp_path_factory.mktemp("models")
    toy = folder / "toy"
    shutil.copytree(golden / "toy_tokenizer", toy / "toy_tokenizer")
    for name in [*FILES.values(), TEXT["encoder"]]:
        shutil.copyfile(golden / name, toy / name)
    facts = {"format": 1, "name": "toy", "title": "Toy", "about": "Random.", "text": TEXT, "resolution": 64, "steps": 2, "guidance": 2}
    (toy / "model.json").write_text(json.dumps(facts | FILES))
    return folder


@pytest.fixture
def environment(models, tmp_path, monkeypatch):
    monkeypatch.setenv("TROUPE_MODELS", str(models))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return models


def size(path):
    return struct.unpack(">II", path.read_bytes()[16:24])


def test_pictures_and_an_account_of_them(environment, tmp_path):
    out = tmp_path / "out"
    result = troupe_json("generate", "toy", PROMPT, "a man", "--count", "2", "--seed", "7", "--aspect", "3:4", "-o", out)
    assert [picture["seed"] for picture in result["pictures"]] == [7, 8, 7, 8]
    assert result["width"] < result["height"] and result["width"] % 16 == result["height"] % 16 == 0
    for picture in result["pictures"]:
        assert size(out / picture["file"]) == (result["width"], result["height"])
    account = json.loads((out / "generation.json").read_text())
    assert account["model"] == "toy" and account["pictures"] == result["pictures"]


def test_a_picture_can_be_drawn_again(environment, tmp_path, monkeypatch):
    troupe("generate", "toy", PROMPT, "--count", "2", "-o", tmp_path / "a")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    troupe("generate", environment / "toy", PROMPT, "--seed", "1", "-o", tmp_path / "b")
    assert (tmp_path / "a/02.png").read_bytes() == (tmp_path / "b/01.png").read_bytes()
    assert (tmp_path / "a/01.png").read_bytes() != (tmp_path / "b/01.png").read_bytes()


def test_a_lora_changes_the_picture(environment, shared, tmp_path):
    lora = shared / "golden-identity/a_lora_aitoolkit.safetensors"
    troupe("generate", "toy", PROMPT, "-o", tmp_path / "plain")
    for strength in ("0", "1"):
        troupe("generate", lora, PROMPT, "--model", "toy", "--strength", strength, "-o", tmp_path / strength)
    plain, none, full = ((tmp_path / name / "01.png").read_bytes() for name in ("plain", "0", "1"))
    assert plain == none != full
    done = troupe("generate", lora, PROMPT, "-o", tmp_path / "x", check=False)
    assert done.returncode == 2 and "--model" in done.stderr


def test_references_are_drawn_after(environment, tmp_path):
    troupe("generate", "toy", PROMPT, "-o", tmp_path / "plain")
    troupe("generate", "toy", PROMPT, "--reference", tmp_path / "plain/01.png", "-o", tmp_path / "after")
    assert (tmp_path / "plain/01.png").read_bytes() != (tmp_path / "after/01.png").read_bytes()


def test_models_are_listed(environment):
    assert "toy" in troupe("models").stdout
    toy = [model for model in troupe_json("models") if model["name"] == "toy"]
    assert toy[0]["state"] == "ok" and toy[0]["resolution"] == 64 and not toy[0]["trainable"]


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["toy", "-o", "OUT"], "PROMPT"),
        (["toy", PROMPT], "-o"),
        (["nobody", PROMPT, "-o", "OUT"], "toy"),
        (["toy", PROMPT, "-o", "OUT", "--aspect", "wide"], "3:4"),
        (["toy", PROMPT, "-o", "OUT", "--aspect", "9:1"], "aspect"),
        (["toy", PROMPT, "-o", "OUT", "--count", "0"], "between"),
        (["toy", PROMPT, "-o", "OUT", "--steps", "-3"], "steps"),
        (["toy", PROMPT, "-o", "OUT", "--seed", "-1"], "seed"),
        (["toy", PROMPT, "-o", "OUT", "--strength", "99"], "strength"),
    ],
)
def test_wrong_usage(environment, arguments, word, empty):
    arguments = [str(empty / "out") if argument == "OUT" else argument for argument in arguments]
    assert_refused(troupe("generate", *arguments, check=False), empty, word, code=2)


def test_who_has_not_been_learned_is_refused(environment, tmp_path, empty):
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann/character.json").write_text("{}")
    assert_refused(troupe("generate", tmp_path / "ann", PROMPT, "-o", empty / "out", check=False), empty, "troupe train", code=2)
