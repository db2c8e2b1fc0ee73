"""docs/clients.md: every block runs as it stands there."""
import json
import os
import re
import subprocess

import pytest
from conftest import ROOT, probe
from models import make_toy
from serving import Server

PAGE = (ROOT / "docs/clients.md").read_text()
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def desk(tmp_path_factory, character_png, material, scene, photos):
    """A folder with what the page expects, and the environment that it names."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "character.png").symlink_to(character_png)
    (folder / "dance.mp4").symlink_to(material / "performance.mp4")
    make_toy(folder / "home/troupe/models/toy")
    with Server(folder / "data", environment={"XDG_DATA_HOME": str(folder / "home")}) as server:
        server.run("template", "add", scene, "--name", "Dance")
        yield folder, server, {**os.environ, "TROUPE": server.url, "KEY": server.key, "PRISM_KEY": server.new_key("--dialect=prism"), "PICTURES": json.dumps(photos.urls(10))}


@pytest.mark.parametrize("number", range(len(BLOCKS)), ids=lambda number: f"{number + 1}-{BLOCKS[number][0]}")
def test_block(desk, number):
    folder, server, environment = desk
    language, text = BLOCKS[number]
    before = {path.name for path in folder.iterdir()}
    command = ["bash", "-eu", "-o", "pipefail", "-c", text] if language == "sh" else ["/usr/bin/python3", "-c", text]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr + server.log_text()[-3000:]
    made = [folder / name for name in {path.name for path in folder.iterdir()} - before if re.search(r"\.(png|mp4)$", name)]
    for path in made:
        assert probe(path, "-show_streams")["streams"], path
    assert made or done.stdout.count("\n") == 3, done.stdout
    server.assert_ledger_sums()


def test_the_page_has_a_shell_and_a_python_block_of_each_service():
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    assert [section.split("\n")[0] for section in sections] == ["Viggle", "VicSee", "Prism"]
    assert all("```sh" in section and "```python" in section for section in sections)
