"""Real pictures and a real dance, where they are."""
import subprocess

import pytest
from conftest import ffmpeg, troupe, troupe_json, truth


@pytest.fixture(scope="module")
def dance(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dance") / "scene"
    troupe("scene", shared / "media/dance.mp4", "-o", folder, "--quiet")
    return folder


# Every fourth frame is judged here, all of them by `truth motion DRIVER RESULT --readings=3`. On the translucent ref.jpg the judging
# network takes left for right in 1 to 2 % of the frames, in others after every small change of the picture, and one such frame costs
# 0.3 degrees of all: so it is asked three times there.
@pytest.mark.parametrize("picture, readings", [("demo1", 1), ("ref", 3)])
def test_motion_fidelity_of_a_real_dance(picture, readings, dance, shared, tmp_path):
    out = tmp_path / "out.mp4"
    result = troupe_json("render", "--character", shared / f"media/{picture}.jpg", "--scene", dance, "-o", out)
    assert result["frames_with_character"] == result["frames"] == 288
    truth("motion", shared / "media/dance.mp4", out, "--max-degrees=4", f"--readings={readings}", "--step=4", "--max-missing=0")


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_drawings_are_rigged_by_their_outline(number, shared, tmp_path):
    result = troupe_json("character", shared / f"media/drawing{number}/texture.png", "-o", tmp_path / "c")
    assert result["joints_from"] == "silhouette"


@pytest.mark.parametrize("picture", ["demo1.jpg", "ref.jpg", "woman_sung.png"])
def test_people_are_rigged_by_the_network(picture, shared, tmp_path):
    result = troupe_json("character", shared / "media" / picture, "-o", tmp_path / "c")
    assert result["joints_from"] == "pose"


def part(path, x, y, width, height):
    """A rectangle of the frame at one second, as grey bytes."""
    command = ["ffmpeg", "-v", "error", "-ss", "1", "-i", path, "-frames:v", "1", "-vf", f"crop={width}:{height}:{x}:{y}", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def difference(a, b):
    assert len(a) == len(b) > 0
    return sum(abs(x - y) for x, y in zip(a, b)) / len(a)


# Where the performer has her face, her shirt, her skirt and her shins at one second of the dance.
FACE, SHIRT, SKIRT, SHINS = (480, 200, 130, 130), (450, 600, 180, 120), (430, 950, 200, 200), (430, 1350, 220, 150)


@pytest.mark.parametrize("share, replaced, kept", [(0.5, [FACE, SHIRT], [SKIRT, SHINS]), (0.25, [FACE], [SHIRT, SKIRT, SHINS])])
def test_what_a_picture_lacks_is_the_performers_own(share, replaced, kept, dance, shared, tmp_path):
    ffmpeg("-i", shared / "media/demo1.jpg", "-vf", f"crop=iw:ih*{share}:0:0", tmp_path / "cut.png")
    out = tmp_path / "out.mp4"
    result = troupe_json("render", "--character", tmp_path / "cut.png", "--scene", dance, "-o", out)
    assert any("performer's own" in note for note in result["notes"])
    source = shared / "media/dance.mp4"
    assert all(difference(part(source, *where), part(out, *where)) > 12 for where in replaced)
    assert all(difference(part(source, *where), part(out, *where)) < 4 for where in kept)
