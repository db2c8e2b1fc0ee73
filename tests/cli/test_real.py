"""Real pictures and a real dance, where they are."""
import pytest
from conftest import troupe, troupe_json, truth


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
