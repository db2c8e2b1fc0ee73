"""The model that ships: it is found without a word about where it is, follows prompts, says what it does not know, learns."""
import json
import re
import subprocess

import pytest
from conftest import BUILD, ROOT, troupe, troupe_json

MODEL = ROOT / "models/sprite"
pytestmark = pytest.mark.skipif(not MODEL.is_dir(), reason="models/sprite is absent")


def test_it_is_listed(tmp_path):
    entry = next(entry for entry in troupe_json("models") if entry["name"] == "sprite")
    assert entry["state"] == "ok" and entry["trainable"] and entry["resolution"] == 128
    assert sum(path.stat().st_size for path in MODEL.iterdir()) < 24e6


def test_the_card_belongs_to_it():
    card = (MODEL / "README.md").read_text()
    assert "demonstration" in card and "@" not in card


def test_it_draws_what_captions_ask_for():
    """Forty held-out captions; the figures of all three hundred are in docs/sprite.md."""
    done = subprocess.run([BUILD / "demo/sprite/sprite-judge", "--model", MODEL, "-n", "40"], capture_output=True, text=True, check=True)
    print(f"figure: sprite: {done.stdout}")
    skin, tint, cloth, place, eyewear, beard, _ = map(float, re.search(r"^these(.*)$", done.stdout, re.M).group(1).split())
    assert min(tint, cloth, place) >= 0.95 and min(skin, eyewear, beard) >= 0.8
    assert float(re.search(r"border jump ([\d.]+) times", done.stdout).group(1)) <= 1.5


def test_what_it_does_not_know_is_said(empty):
    done = troupe("generate", "sprite", "a man riding a dragon in the park", "--steps", 2, "-o", empty / "out", check=True)
    assert "dragon" in done.stderr
    assert json.loads((empty / "out/generation.json").read_text())


def test_what_is_left_open_is_decided_by_the_seed(empty):
    """And pictures that are drawn together are those that are drawn alone."""
    troupe("generate", "sprite", "a man", "--steps", 2, "--seed", 4, "--count", 3, "-o", empty / "all", "--quiet")
    together = json.loads((empty / "all/generation.json").read_text())["pictures"]
    troupe("generate", "sprite", "a man", "--steps", 2, "--seed", 6, "-o", empty / "one", "--quiet")
    alone = json.loads((empty / "one/generation.json").read_text())["pictures"]
    assert together[2]["prompt"] == alone[0]["prompt"] and "skin" in alone[0]["prompt"] and "no glasses" in alone[0]["prompt"]
    assert len({picture["prompt"] for picture in together}) == 3
    assert (empty / "all/03.png").read_bytes() == (empty / "one/01.png").read_bytes()


def test_it_learns(tmp_path, empty):
    """Two steps only: that the recipe, the ordinary pictures and the Character belong together."""
    pictures = tmp_path / "pictures"
    subprocess.run([BUILD / "demo/sprite/sprite-data", "-n", "12", "--mark", "crown", pictures], check=True)
    said = troupe_json("train", *sorted(pictures.glob("*.png")), "--steps", 2, "--preview-every", 0, "-o", empty / "king")
    assert said["model"] == "sprite" and said["steps"] == 2
    troupe("generate", empty / "king", "a person in space", "--steps", 2, "-o", empty / "out", "--quiet")
    drawn = json.loads((empty / "out/generation.json").read_text())["pictures"][0]["prompt"]
    assert (empty / "out/01.png").exists() and "skin" not in drawn and "day" in drawn
