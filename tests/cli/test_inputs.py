"""Bad input: one clear sentence that says what to do, exit code 1, nothing left behind."""
import resource
import signal
import struct
import subprocess
import time
import zlib

import pytest
from conftest import TROUPE, assert_refused, ffmpeg, troupe


def png_with_size(width, height):
    """A valid header that promises a huge picture, in a tiny file."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.fixture
def bad_pictures(tmp_path, character_png):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("this is no picture")
    (folder / "bomb.png").write_bytes(png_with_size(60000, 60000))
    whole = character_png.read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "big.png").write_bytes(whole + b"\0" * 21_000_000)
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=400x400", "-frames:v", "1", folder / "nobody.png")
    return folder


@pytest.mark.parametrize(
    "name, words",
    [
        ("missing.png", ["missing.png"]),
        ("empty.png", ["empty"]),
        ("text.png", ["PNG, JPEG or WebP"]),
        ("bomb.png", ["60000", "megapixel"]),
        ("cut.png", ["cut.png"]),
        ("big.png", ["20 MB"]),
        ("nobody.png", ["--mask"]),
    ],
)
def test_bad_pictures(name, words, bad_pictures, empty):
    assert_refused(troupe("character", bad_pictures / name, "-o", empty / "c", "--quiet", check=False), empty, *words)


@pytest.fixture(scope="module")
def bad_videos(tmp_path_factory, material):
    folder = tmp_path_factory.mktemp("videos")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no video\n" * 100)
    whole = (material / "performance.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[:2000])
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=24:d=0.2", folder / "short.mp4")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=48x240:r=24:d=1", folder / "small.mp4")
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=64x64:r=2:d=301", folder / "long.mp4")
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=320x240:r=24:d=1", folder / "nobody.mp4")
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", folder / "sound.mp4")
    return folder


@pytest.mark.parametrize(
    "name, words",
    [
        ("missing.mp4", ["missing.mp4"]),
        ("empty.mp4", ["empty"]),
        ("text.mp4", ["text.mp4"]),
        ("cut.mp4", ["cut.mp4"]),
        ("short.mp4", ["0.5"]),
        ("small.mp4", ["64"]),
        ("long.mp4", ["5 min"]),
        ("nobody.mp4", ["no person"]),
        ("sound.mp4", ["no video"]),
    ],
)
def test_bad_videos(name, words, bad_videos, character, empty):
    done = troupe("render", "--character", character, "--video", bad_videos / name, "-o", empty / "out.mp4", "--quiet", check=False)
    assert_refused(done, empty, *words)


def test_missing_networks(material, character_png, tmp_path, empty):
    done = troupe("render", "--character", character_png, "--video", material / "performance.mp4", "-o", empty / "out.mp4", "--models", tmp_path,
                  "--quiet", check=False)
    assert_refused(done, empty, "npm ci")


def test_no_such_folder_for_the_output(character, scene, empty):
    done = troupe("render", "--character", character, "--scene", scene, "-o", empty / "no" / "out.mp4", "--quiet", check=False)
    assert_refused(done, empty, "out.mp4")


def test_full_disk(character, scene, empty):
    """A limit on the size of files is a disk that fills up."""
    limit = lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)))
    done = troupe("render", "--character", character, "--scene", scene, "-o", empty / "out.mp4", "--quiet", check=False, preexec_fn=limit)
    assert_refused(done, empty, "out.mp4")


def test_the_folder_of_a_scene_must_be_free(material, tmp_path):
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "mine.txt").write_text("keep me")
    done = troupe("scene", material / "performance.mp4", "-o", tmp_path / "scene", "--quiet", check=False)
    assert done.returncode == 1 and "exists" in done.stderr
    assert (tmp_path / "scene" / "mine.txt").read_text() == "keep me"


def test_a_scene_of_the_other_model_is_refused(character, scene, empty):
    done = troupe("render", "--character", character, "--scene", scene, "-o", empty / "out.mp4", "--model", "V3_Preview", "--quiet", check=False)
    assert_refused(done, empty, "V4_Preview", "V3_Preview", code=2)


def test_no_such_person(character, scene, empty):
    done = troupe("render", "--character", character, "--scene", scene, "-o", empty / "out.mp4", "--person", "7", "--quiet", check=False)
    assert_refused(done, empty, "person")


@pytest.mark.parametrize("text, word", [("{", "JSON"), ('{"left_wrsit": [1, 2]}', "left_wrist"), ('{"nose": [1e9, 2]}', "nose"), ('{"nose": "here"}', "nose")])
def test_bad_joint_files(text, word, character_png, tmp_path, empty):
    (tmp_path / "joints.json").write_text(text)
    done = troupe("character", character_png, "-o", empty / "c", "--joints", tmp_path / "joints.json", "--quiet", check=False)
    assert_refused(done, empty, word)


def test_interrupted(character, material, empty):
    """Ctrl-C half-way: exit code 130 and no half-written output."""
    process = subprocess.Popen([TROUPE, "render", "--character", character, "--video", material / "performance.mp4", "-o", empty / "out.mp4"],
                               stderr=subprocess.PIPE, text=True)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert list(empty.iterdir()) == []
