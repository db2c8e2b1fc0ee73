"""The Python programs of the service's own pages, run as they stand there: only base URL, key, ids and file names are ours."""
import re
import subprocess
import sys
import textwrap

import pytest
from conftest import probe


@pytest.fixture(scope="module")
def seeds(shared):
    if not (shared / "seeds").is_dir():
        pytest.skip("../shared/seeds is absent")
    return shared / "seeds"


def programs(page):
    """The Python programs of a page. They begin with an import; a page's prose begins with none of what a line of Python has."""
    found, lines = [], page.read_text().splitlines()
    for number, line in enumerate(lines):
        start = line.find("import requests")
        if start >= 0:
            found.append([line[start:]])
            for following in lines[number + 1 :]:
                if not re.match(r"\s|$|[\w.]+ *(=|\(|\.|,)|h =|with |if |else|while |print|\)|\}|API_KEY|files =|\"", following):
                    break
                found[-1].append(following)
    return ["\n".join(indented([repaired(line) for line in lines])) for lines in found]


def indented(lines):
    """The introduction's loop lost its indentation: what belongs to it goes up to the sleep."""
    inside, mended = False, []
    for line in lines:
        mended.append(f"    {line}" if inside else line)
        inside = (inside or line.replace(" ", "") == "whileTrue:") and not line.startswith("time.sleep")
    return mended


def repaired(line):
    """The introduction's samples were torn at every bracket (f " { BASE } /api"): put together what belongs together."""
    if not re.search(r'(?<![A-Za-z])f "', line):
        return line

    def mend(match):
        inside = re.sub(r"\s*\}\s*", "}", re.sub(r"\{\s*", "{", match.group(1)))
        return 'f"' + re.sub(r"(?<![A-Za-z]) \{", "{", inside).replace("[ ", "[").replace(" ]", "]") + '"'

    return re.sub(r'(?<![A-Za-z])f "([^"]*)"', mend, line).replace('f"{', 'f"{')


def run(program, folder, server, **ids):
    for old, new in {"https://apis.viggle.ai": server.url, "YOUR_API_KEY": server.key, **ids}.items():
        program = program.replace(old, new)
    (folder / "program.py").write_text(program)
    done = subprocess.run([sys.executable if "python3" in sys.executable else "/usr/bin/python3", "program.py"], cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.stderr}\n{textwrap.indent(program, '    ')}"
    return done.stdout


@pytest.fixture
def folder(tmp_path, character_png, material):
    """Where the programs expect their files."""
    (tmp_path / "character.png").symlink_to(character_png)
    for name in ("driving.mp4", "dance.mp4"):
        (tmp_path / name).symlink_to(material / "performance.mp4")
    return tmp_path


def assert_playable(path, frames=None):
    streams = probe(path, "-count_frames", "-show_streams")["streams"]
    video = next(stream for stream in streams if stream["codec_type"] == "video")
    assert video["codec_name"] == "h264" and int(video["nb_read_frames"]) == (frames or int(video["nb_read_frames"])) > 0
    assert any(stream["codec_type"] == "audio" for stream in streams), "the sound is lost"


def test_introduction_on_demand(server, seeds, folder):
    program = next(p for p in programs(seeds / "viggle-introduction.txt") if "output.mp4" in p)
    run(program, folder, server)
    assert_playable(folder / "output.mp4", frames=72)


def test_introduction_prepared(server, seeds, folder):
    program = next(p for p in programs(seeds / "viggle-introduction.txt") if "scenes/preprocess" in p)
    making, rendering = program.split("job = ")
    wait = """
for kind, id in (("characters", char["character_id"]), ("scenes", scene["scene_id"])):
    import time
    while requests.get(f"{BASE}/api/{kind}/{id}", headers=h).json()["status"] not in ("ready", "failed"):
        time.sleep(0.5)
"""
    out = run(making + wait + "job = " + rendering + "\nprint(job['job_id'])", folder, server)
    assert_saved(server, out.split()[-1], folder)


def test_introduction_import(server, seeds, folder, scene):
    program = next(p for p in programs(seeds / "viggle-introduction.txt") if "scenes/import" in p)
    template = server.run("template", "add", scene, "--name", "Dance").stdout.strip()
    out = run(program + "\nprint(scene['id'], scene['segments'][0]['uuid'])", folder, server, TEMPLATE_ID_FROM_VIGGLE=template)
    scene_id, segment = out.split()
    assert segment.startswith("person_") and server.wait(f"/api/scenes/{scene_id}")["status"] == "ready"


def test_create_character(server, seeds, folder):
    (program,) = programs(seeds / "viggle-create-character.txt")
    out = run(program, folder, server)
    identity = re.search(r"Character ID: (\S+)", out).group(1)
    assert "Status: pending" in out and server.wait(f"/api/characters/{identity}")["status"] == "ready"


def test_create_render(server, seeds, folder):
    on_demand, prepared = programs(seeds / "viggle-create-render.txt")
    out = run(on_demand, folder, server)
    assert_saved(server, re.search(r"Job created: (\S+)", out).group(1), folder)
    with open(folder / "character.png", "rb") as image, open(folder / "dance.mp4", "rb") as video:
        character = server.post("/api/characters/preprocess", files={"image": image}, data={"name": "A"}).json()["id"]
        scene = server.post("/api/scenes/preprocess", files={"video": video}, data={"name": "B"}).json()["id"]
    server.wait(f"/api/characters/{character}"), server.wait(f"/api/scenes/{scene}")
    out = run(prepared, folder, server, char_550e8400e29b41d4=character, scene_660e8400e29b41d4=scene)
    assert_saved(server, re.search(r"Job created: (\S+)", out).group(1), folder)


def assert_saved(server, job, folder):
    done = server.wait(f"/api/render/{job}", key=False)
    assert done["status"] == "complete", done
    (folder / "saved.mp4").write_bytes(server.get(done["cdn_url"], key=False).content)
    assert_playable(folder / "saved.mp4", frames=72)
