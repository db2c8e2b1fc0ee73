"""Usage, help and exit codes."""
import pytest
from conftest import assert_refused, troupe


def test_without_arguments_the_usage_goes_to_stderr():
    done = troupe(check=False)
    assert done.returncode == 2 and "render" in done.stderr and not done.stdout


def test_help_and_version():
    assert "render" in troupe("--help").stdout
    assert troupe("--version").stdout.startswith("troupe ")
    for command in ("render", "character", "scene", "pose", "models", "doctor"):
        assert f"troupe {command}" in troupe(command, "--help").stdout


def test_an_unknown_command_is_wrong_usage():
    done = troupe("dance", check=False)
    assert done.returncode == 2 and "dance" in done.stderr


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--video", "v.mp4", "-o", "OUT"], "--character"),
        (["--character", "c.png", "-o", "OUT"], "--video"),
        (["--character", "c.png", "--video", "v.mp4", "--scene", "s", "-o", "OUT"], "--scene"),
        (["--character", "c.png", "--video", "v.mp4"], "-o"),
        (["--character", "c.png", "--video", "v.mp4", "-o", "OUT", "--model", "V5"], "V4_Preview"),
        (["--character", "c.png", "--video", "v.mp4", "-o", "OUT", "--background", "blue"], "solid"),
        (["--character", "c.png", "--video", "v.mp4", "-o", "OUT", "--bg-color", "1,2,3"], "solid"),
        (["--character", "c.png", "--video", "v.mp4", "-o", "OUT", "--background", "solid", "--bg-color", "1,2,300"], "255"),
        (["--character", "c.png", "--video", "v.mp4", "-o", "OUT", "--person", "-1"], "person"),
        (["--character", "c.png", "--video", "v.mp4", "-o", "OUT", "--network", "huge"], "heavy"),
        (["--character", "c.png", "--video", "v.mp4", "-o", "OUT", "--unknown"], "unknown"),
    ],
)
def test_wrong_usage_of_render(arguments, word, empty):
    arguments = [str(empty / "out.mp4") if argument == "OUT" else argument for argument in arguments]
    assert_refused(troupe("render", *arguments, check=False), empty, word, code=2)


def test_models_and_doctor_find_everything():
    assert "pose_landmark_full" in troupe("models").stdout
    done = troupe("doctor")
    assert "BAD" not in done.stdout


def test_doctor_says_what_is_missing(tmp_path):
    done = troupe("doctor", "--models", tmp_path, check=False)
    assert done.returncode == 1 and "BAD" in done.stdout and "npm ci" in done.stdout
