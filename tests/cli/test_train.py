"""Learning a character: what is refused before anything is done, what is left in the folder, and that a training which
is killed again and again is the one that was not. The model is a small random one."""
import json
import shutil
import signal
import subprocess
import time

import pytest
from conftest import TROUPE, assert_refused, ffmpeg, troupe, troupe_json
from models import make_toy, poison


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("models") / "toy")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(12):
        ffmpeg("-f", "lavfi", "-i", f"testsrc=size={64 + 16 * (i % 3)}x64:rate=1", "-vf", f"hue=h={30 * i}", "-frames:v", "1", folder / f"{i:02}.png")
    return sorted(folder.glob("*.png"))


@pytest.fixture(scope="module")
def learnt(toy, pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("learnt") / "ada"
    said = troupe_json("train", *pictures, "--name", "Ada", "--trigger", "adaz", "--class", "woman", "--model", toy, "--preview-every", 20, "-o", folder)
    return folder, said


def test_a_training_leaves_a_character(learnt, pictures):
    folder, said = learnt
    assert said["steps"] == 40 and said["last_loss"] < said["first_loss"]
    character = json.loads((folder / "character.json").read_text())
    assert character["name"] == "Ada" and character["lora"] == {"model": "toy", "trigger": "adaz", "class": "woman"}
    assert len(list((folder / "pictures").iterdir())) == len(pictures)
    assert (folder / "training/loss.csv").read_text().count("\n") == 41
    left = {path.name for path in (folder / "training").iterdir()}
    assert {"loss.png", "previews.png", "preview-000020-1.png", "preview-000040-1.png"} <= left
    assert "checkpoint.safetensors" not in left


def test_the_lora_draws(learnt, toy, empty):
    folder, _ = learnt
    troupe("generate", folder, "in the park", "--model", toy, "--count", 1, "--seed", 3, "-o", empty / "with", "--quiet")
    troupe("generate", toy, "adaz woman, in the park", "--count", 1, "--seed", 3, "-o", empty / "without", "--quiet")
    assert (empty / "with/01.png").read_bytes() != (empty / "without/01.png").read_bytes()


def test_a_killed_training_is_the_one_that_was_not(learnt, toy, pictures, empty):
    whole, _ = learnt
    folder, kills = empty / "ada", 0
    command = [TROUPE, "train", *pictures, "--name", "Ada", "--trigger", "adaz", "--class", "woman", "--model", toy, "--preview-every", "20", "-q", "-o", folder]
    log = folder / "training/loss.csv"
    while not (folder / "lora.safetensors").exists():
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
        # Killed a few steps after what it found, so that every life gets somewhere and loses something.
        begun = log.read_text().count("\n") if log.exists() else 0
        while process.poll() is None and kills < 10 and not (log.exists() and log.read_text().count("\n") > begun + 2 + 3 * kills):
            time.sleep(.01)
        if process.poll() is None and kills < 10:
            process.send_signal(signal.SIGKILL)
            kills += 1
        assert process.wait() in (0, -signal.SIGKILL)
    assert kills >= 3
    for name in ("lora.safetensors", "training/loss.csv", "training/previews.png"):
        assert (whole / name).read_bytes() == (folder / name).read_bytes(), name


def test_wrong_numbers_of_pictures_are_refused(toy, pictures, empty):
    for count in (0, 9):
        assert_refused(troupe("train", *pictures[:count], "--model", toy, "-o", empty / "c", check=False), empty, "10 to 30", code=2)
    assert_refused(troupe("train", *pictures, *pictures, *pictures, "--model", toy, "-o", empty / "c", check=False), empty, "36", code=2)


def test_an_unreadable_picture_is_refused(toy, pictures, empty, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(pictures[0].read_bytes()[:200])
    done = troupe("train", *pictures[:10], broken, "--model", toy, "-o", empty / "c", "--quiet", check=False)
    assert_refused(done, empty, "broken.png")


def test_too_little_memory_is_said_before_the_start(toy, pictures, empty):
    done = troupe("train", *pictures, "--model", toy, "--memory", "0.001", "-o", empty / "c", "--quiet", check=False)
    assert_refused(done, empty, "needs 0.0", "0.00 GB")


def test_weights_that_are_no_numbers_stop_it(toy, pictures, empty, tmp_path):
    model = tmp_path / "broken"
    shutil.copytree(toy, model)
    poison(model)
    done = troupe("train", *pictures, "--model", model, "-o", empty / "c", "--quiet", check=False)
    assert done.returncode == 1 and "number" in done.stderr
    assert not (empty / "c/lora.safetensors").exists()


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--trigger", "two words"], "trigger"),
        (["--steps", "0"], "steps"),
        (["--rank", "0"], "rank"),
        (["--rate", "nan"], "rate"),
        (["--seed", "-1"], "seed"),
        (["--caption", "one", "--caption", "two"], "caption"),
        (["--model", "nosuch"], "nosuch"),
    ],
)
def test_wrong_usage(toy, pictures, empty, arguments, word):
    model = [] if "--model" in arguments else ["--model", toy]
    done = troupe("train", *pictures, *model, *arguments, "-o", empty / "c", "--quiet", check=False)
    assert_refused(done, empty, word, code=2)


def test_a_folder_of_something_else_is_left_alone(toy, pictures, empty):
    (empty / "mine").mkdir()
    (empty / "mine/file").write_text("kept")
    done = troupe("train", *pictures, "--model", toy, "-o", empty / "mine", "--quiet", check=False)
    assert done.returncode == 1 and "exists" in done.stderr
    assert [path.name for path in (empty / "mine").iterdir()] == ["file"]
