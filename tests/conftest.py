"""What the tests of the program share: the program, its demonstration material, ways to look at videos."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", "/tmp/troupe-hypothesis")
ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("TROUPE_BUILD", ROOT / "build"))
SHARED = pathlib.Path(os.environ.get("TROUPE_SHARED", ROOT.parent / "shared"))
TROUPE = BUILD / "troupe"


def troupe(*arguments, check=True, timeout=1200, **options):
    """Runs the program; with check, it must succeed."""
    done = subprocess.run([TROUPE, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, **options)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def troupe_json(*arguments, **options):
    return json.loads(troupe(*arguments, "--json", "--quiet", **options).stdout)


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def probe(path, *entries):
    """ffprobe's JSON for the given arguments."""
    done = subprocess.run(["ffprobe", "-v", "error", "-of", "json", *map(str, entries), str(path)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def truth(*arguments, check=True):
    """The judge that compares results with the exact truth; prints its figures into the test log."""
    done = subprocess.run([BUILD / "tests/truth/truth", *map(str, arguments)], capture_output=True, text=True)
    print(f"figure: truth {arguments[0]}: {done.stdout.strip()}")
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="session")
def shared():
    if not (SHARED / "media").is_dir():
        pytest.skip("../shared is absent")
    return SHARED


@pytest.fixture(scope="session")
def character_png(tmp_path_factory):
    path = tmp_path_factory.mktemp("character") / "character.png"
    subprocess.run([BUILD / "demo/demo-character", ROOT / "demo/character.svg", path], check=True)
    return path


def make_material(folder, *options):
    subprocess.run([BUILD / "demo/demo-material", folder, *options], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def material(tmp_path_factory):
    """Three seconds of the demonstration's performer, small, with the truth beside it."""
    return make_material(tmp_path_factory.mktemp("material") / "short", "--seconds", "3", "--width", "360", "--height", "640")


@pytest.fixture(scope="session")
def scene(material, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene") / "scene"
    troupe("scene", material / "performance.mp4", "-o", folder, "--quiet")
    return folder


@pytest.fixture(scope="session")
def character(character_png, tmp_path_factory):
    folder = tmp_path_factory.mktemp("character") / "character"
    troupe("character", character_png, "-o", folder, "--quiet")
    return folder


@pytest.fixture(scope="session")
def rendered(character, scene, tmp_path_factory):
    path = tmp_path_factory.mktemp("rendered") / "out.mp4"
    troupe("render", "--character", character, "--scene", scene, "-o", path, "--quiet")
    return path


def assert_refused(done, folder, *words, code=1):
    """One clear sentence, the right exit code, and nothing left in the output's folder."""
    assert done.returncode == code, (done.returncode, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith("note:")]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word.lower() in lines[0].lower(), lines[0]
    assert list(folder.iterdir()) == [], "something was left behind"


@pytest.fixture
def empty(tmp_path):
    """A folder for output, apart from the inputs."""
    folder = tmp_path / "output"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A running server with its workers, shared by the tests that leave it as it was."""
    from serving import Server

    with Server(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def photos(character_png, tmp_path_factory):
    """Somebody else's web server with pictures."""
    from photos import take_photos

    running = take_photos(tmp_path_factory.mktemp("photos"), character_png)
    yield running
    running.server.shutdown()
