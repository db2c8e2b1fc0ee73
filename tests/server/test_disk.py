"""A full disk and a read-only data folder: clear errors, no corruption, recovery without a restart."""
import re
import subprocess
import time

import pytest
import requests
from conftest import TROUPE

SIZE = "48m"


@pytest.fixture
def confined(tmp_path):
    """A server whose data lie on a small disk of its own, in a namespace where that can be filled and made read only."""
    data = tmp_path / "disk"
    data.mkdir()
    script = f"mount -t tmpfs -o size={SIZE} tmpfs {data} && exec {TROUPE} serve --data={data}/data --listen=127.0.0.1:0 --workers=0 --requests-minute=100000"
    process = subprocess.Popen(["unshare", "-rm", "sh", "-c", script], stdout=subprocess.PIPE, stderr=open(tmp_path / "log", "wb"))
    first = process.stdout.readline().decode()
    if not first:
        process.wait()
        pytest.skip(f"no disk of its own can be had here: {(tmp_path / 'log').read_text()[:200]}")
    key = re.search(r"sk-\w+", process.stdout.readline().decode()).group(0)
    yield Confined(process, re.search(r"http://[0-9.:]+", first).group(0), key, data)
    process.terminate()
    assert process.wait(timeout=30) == 0


class Confined:
    def __init__(self, process, url, key, data):
        self.process, self.url, self.headers, self.data = process, url, {"Authorization": f"Bearer {key}"}, data

    def inside(self, command):
        subprocess.run(["nsenter", "--preserve-credentials", "-t", str(self.process.pid), "-U", "-m", "sh", "-c", command], check=True)

    def create(self, picture):
        with open(picture, "rb") as image:
            return requests.post(f"{self.url}/api/characters/preprocess", headers=self.headers, files={"image": image}, data={"name": "A"}, timeout=60)

    def balance(self):
        return requests.get(f"{self.url}/api/credits", headers=self.headers, timeout=60).json()["balance"]

    def characters(self):
        return requests.get(f"{self.url}/api/characters", headers=self.headers, timeout=60).json()["total"]

    def ready(self):
        return requests.get(f"{self.url}/readyz", timeout=60).status_code


def assert_refused(answer):
    assert answer.status_code == 503, answer.text
    detail = answer.json()["detail"]
    assert detail["message"] and detail["action"] and answer.headers["Retry-After"]


def trouble_and_recovery(server, picture, break_it, mend_it):
    before = server.balance()
    break_it()
    for _ in range(3):
        assert_refused(server.create(picture))
    assert server.ready() == 503
    assert server.balance() == before and server.characters() == 0, "reading goes on, nothing was kept"
    mend_it()
    limit = time.monotonic() + 20
    while (answer := server.create(picture)).status_code != 200:
        assert time.monotonic() < limit, answer.text
        time.sleep(0.5)
    assert server.ready() == 200 and server.balance() == before - 1 and server.characters() == 1
    server.inside(f"sqlite3 {server.data}/data/troupe.db 'PRAGMA integrity_check' | grep -qx ok")


def test_full_disk(confined, character_png):
    fill = f"dd if=/dev/zero of={confined.data}/fill bs=64k 2>/dev/null; dd if=/dev/zero of={confined.data}/fill2 bs=1k 2>/dev/null; true"
    trouble_and_recovery(confined, character_png, lambda: confined.inside(fill), lambda: confined.inside(f"rm {confined.data}/fill {confined.data}/fill2"))


def test_read_only(confined, character_png):
    # Files that are open for writing keep a disk from turning read only; a second mount of the same disk on top does it.
    over = f"mount --bind {confined.data} {confined.data} && mount -o remount,bind,ro {confined.data}"
    trouble_and_recovery(confined, character_png, lambda: confined.inside(over), lambda: confined.inside(f"umount {confined.data}"))
