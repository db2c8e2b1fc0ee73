"""A model trained from scratch on a folder of captioned pictures: what it leaves, that it draws, that it goes on where it was
stopped, what is refused. Small enough to learn nothing but that everything holds together."""
import signal
import subprocess
import time

import pytest
from conftest import TROUPE, assert_refused, ffmpeg, troupe, troupe_json

SMALL = ["--resolution", 64, "--width", 64, "--batch", 4]
STEPS = 150  # enough for a training to be met on its way, however busy the machine is


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("captioned")
    for i, colour in enumerate(("red", "green", "blue", "white") * 14):
        ffmpeg("-f", "lavfi", "-i", f"testsrc=size={96 + 16 * (i % 3)}x96:rate=1", "-vf", f"hue=h={17 * i},drawbox=color={colour}:t=20", "-frames:v", "1", folder / f"{i:02}.png")
        (folder / f"{i:02}.txt").write_text(f"a {colour} frame, number {i}")
    return folder


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    model = tmp_path_factory.mktemp("trained") / "frames"
    said = troupe_json("train", "--full", folder, *SMALL, "--steps", STEPS, "--name", "frames", "-o", model)
    return model, said


def losses(model):
    lines = (model / "training/loss.csv").read_text().splitlines()
    assert lines[0].startswith("step,loss") and [int(line.split(",")[0]) for line in lines[1:]] == list(range(1, len(lines)))
    return [float(line.split(",")[1]) for line in lines[1:]]


def test_a_training_leaves_a_model(trained):
    model, said = trained
    assert said["steps"] == STEPS and not (model / "training/checkpoint.safetensors").exists()
    found = losses(model)
    assert len(found) == STEPS and sum(found[-10:]) < sum(found[:10])
    listed = {entry["name"]: entry for entry in troupe_json("models", "--models", model.parent)}
    assert listed["frames"]["state"] == "ok" and listed["frames"]["resolution"] == 64


def test_the_model_draws_and_knows_its_words(trained, empty):
    model, _ = trained
    troupe("generate", model, "a red frame", "--steps", 2, "--seed", 1, "-o", empty / "red", "--quiet")
    troupe("generate", model, "a blue frame", "--steps", 2, "--seed", 1, "-o", empty / "blue", "--quiet")
    assert (empty / "red/01.png").read_bytes() != (empty / "blue/01.png").read_bytes()


def test_a_stopped_training_is_the_one_that_was_not(trained, folder, empty):
    whole, _ = trained
    model = empty / "frames"
    command = [TROUPE, "train", "--full", folder, *SMALL, "--steps", STEPS, "--name", "frames", "-q", "-o", model]
    log = model / "training/loss.csv"
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") > 10):
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 130 and (model / "training/checkpoint.safetensors").exists()
    assert not (model / "model.json").exists()
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    assert losses(model) == losses(whole)
    for name in ("transformer", "autoencoder", "words"):
        assert (model / f"{name}.safetensors").read_bytes() == (whole / f"{name}.safetensors").read_bytes()


def test_a_complete_model_is_not_trained_again(trained, folder):
    model, _ = trained
    before = (model / "model.json").read_bytes()
    done = troupe("train", "--full", folder, *SMALL, "--steps", 5, "-o", model, "--quiet", check=False)
    assert done.returncode == 2 and "complete" in done.stderr and (model / "model.json").read_bytes() == before


def test_a_picture_without_caption_is_named(folder, tmp_path, empty):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "07.txt").unlink()
    done = troupe("train", "--full", tmp_path, *SMALL, "--steps", 5, "-o", empty / "m", "--quiet", check=False)
    assert done.returncode == 1 and "07.png" in done.stderr and not (empty / "m/model.json").exists()


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--steps", "0"], "steps"),
        (["--width", "100"], "width"),
        (["--resolution", "100"], "resolution"),
        (["--rate", "nan"], "rate"),
        (["--trigger", "zqx"], "--full"),
    ],
)
def test_wrong_usage(folder, empty, arguments, word):
    done = troupe("train", "--full", folder, *arguments, "-o", empty / "m", "--quiet", check=False)
    assert_refused(done, empty, word, code=2)


def test_too_few_pictures(tmp_path, empty):
    done = troupe("train", "--full", tmp_path, "-o", empty / "m", "--quiet", check=False)
    assert_refused(done, empty, "16")
