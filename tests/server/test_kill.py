"""kill -9 of the server, its workers and their engines at random moments: no job is lost, doubled or stuck, and the ledger sums."""
import hashlib
import os
import pathlib
import random
import signal
import socket
import sqlite3
import threading
import time

import pytest
import requests
from conftest import make_material
from serving import Server

POINTS = 30
SEED = 20261121


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A second of video that is prepared in about a second."""
    return make_material(tmp_path_factory.mktemp("tiny") / "tiny", "--seconds", "1", "--width", "144", "--height", "256")


def processes():
    """(pid, parent, command line) of everything that runs."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        yield int(folder.name), parent, arguments


def victims(server, role):
    """The server's processes of this role: "serve", "work" or "engine"."""
    listed = list(processes())
    workers = [pid for pid, parent, arguments in listed if parent == server.process.pid and "work" in arguments]
    if role == "serve":
        return [server.process.pid]
    if role == "work":
        return workers
    engines = [pid for pid, parent, arguments in listed if parent in workers and "engine" in arguments]
    return engines + [pid for pid, parent, arguments in listed if parent in engines]  # those that draw chunks too


def forgotten_engines(server):
    """Engines of this server, by the folder in which they may write, that nobody waits for any more."""
    listed = list(processes())
    alive = {pid for pid, _, _ in listed}
    left = []
    for pid, parent, arguments in listed:
        try:
            mine = str(server.data).encode() in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if mine and arguments[1:2] == ["engine"] and (parent == 1 or parent not in alive):
            left.append(pid)
    return left


def submit(server, kind, picture, video, number):
    with open(picture, "rb") as image, open(video, "rb") as film:
        if kind == "character":
            answer = server.post("/api/characters/preprocess", files={"image": image}, data={"name": f"C{number}"})
        elif kind == "scene":
            answer = server.post("/api/scenes/preprocess", files={"video": film}, data={"name": f"S{number}"})
        else:
            answer = server.post("/api/render", files={"ref_image": image, "driving_video": film}, data={"fast": str(kind == "fast").lower()})
    assert answer.status_code == 200, answer.text
    return answer.json()["job_id"]


def strike(server, role, chance):
    """Kills one of them; True when there was one."""
    found = victims(server, role)
    if not found:
        return False
    try:
        os.kill(chance.choice(found), signal.SIGKILL)
    except ProcessLookupError:
        return False
    if role == "serve":
        server.process.wait()
        server.process.stdout.close()
        server.start()
    return True


def test_kill_at_random_points(tmp_path, character_png, tiny):
    chance = random.Random(SEED)
    options = {"lease-seconds": 2, "attempts": 4, "sweep-age": 0, "log": "false"}
    with Server(tmp_path / "data", **options) as server:
        accepted, struck, number = [], {"serve": 0, "work": 0, "engine": 0}, 0
        begun = time.monotonic()
        while sum(struck.values()) < POINTS:
            assert time.monotonic() - begun < 600, struck
            waiting = server.rows("SELECT count(*) AS n FROM jobs WHERE status IN ('queued', 'processing')")[0]["n"]
            if waiting < 3:
                accepted.append(submit(server, chance.choice(["character", "scene", "render", "fast"]), character_png, tiny / "performance.mp4", number))
                number += 1
            time.sleep(chance.uniform(0.02, 0.8))
            role = chance.choice(["engine", "engine", "work", "serve"])
            struck[role] += strike(server, role, chance)
        print(f"figure: killed {struck}, {len(accepted)} jobs accepted")
        ended = wait_for_all(server, accepted)
        assert not forgotten_engines(server)
        check_jobs(server, ended)
        check_objects(server)


def wait_for_all(server, accepted):
    limit = time.monotonic() + 300
    while True:
        rows = server.rows("SELECT * FROM jobs")
        assert {row["id"] for row in rows} == set(accepted), "a job was lost or doubled"
        open_ones = [row for row in rows if row["status"] in ("queued", "processing")]
        if not open_ones:
            return rows
        assert time.monotonic() < limit, f"stuck: {open_ones}\n{server.log_text()[-3000:]}"
        time.sleep(0.3)


def check_jobs(server, jobs):
    server.assert_ledger_sums()
    for job in jobs:
        assert job["status"] in ("complete", "failed"), job
        booked = server.rows("SELECT kind, sum(amount) AS total, count(*) AS n FROM ledger WHERE job = ? GROUP BY kind", job["id"])
        totals = {row["kind"]: row["total"] for row in booked}
        assert all(row["n"] == 1 for row in booked), (job, booked)
        assert totals.get("reserve", 0) + totals.get("release", 0) == 0, (job, booked)
        assert (totals.get("charge", 0) == 0) if job["status"] == "failed" else (-totals.get("charge", 0) == job["charged"]), (job, booked)
        if job["kind"] == "render" and job["status"] == "complete":
            answer = server.get(f"/api/render/{job['id']}", key=False).json()
            film = server.get(answer["cdn_url"], key=False).content
            assert film[4:8] == b"ftyp", "the result is not a video"
    done = sum(job["status"] == "complete" for job in jobs)
    print(f"figure: {done} of {len(jobs)} jobs complete, the others failed and refunded")
    assert done > 0


def check_objects(server):
    """After a sweep every object is held by a row, every hold has its object, and nothing half-made lies about."""
    server.stop()
    server.start()
    limit = time.monotonic() + 30
    while True:
        held = {row["object"] for row in server.rows("SELECT DISTINCT object FROM holds")}
        kept = {path.name for path in (server.data / "objects").glob("??/*")}
        if held == kept:
            break
        assert time.monotonic() < limit, f"orphans {sorted(kept - held)[:3]}, missing {sorted(held - kept)[:3]}"
        time.sleep(0.5)
    for path in (server.data / "objects").glob("??/*"):
        if path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    while left := list((server.data / "scratch").glob("*")):
        assert time.monotonic() < limit, f"scratch is left: {left}"
        time.sleep(0.5)


# --- Idempotency-Key ---


def hanging_socket():
    """Takes connections and never says anything."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}/picture.png"


def prepared(server, path, **options):
    """The same bytes each time it is sent; the port may be another after a restart."""
    headers = {"Authorization": f"Bearer {server.key}", "Idempotency-Key": "once"}
    request = requests.Request("POST", "http://localhost" + path, headers=headers, **options).prepare()

    def send():
        request.url = server.url + path
        with requests.Session() as session:
            return session.send(request, timeout=60)

    return send


def restart(server):
    server.process.kill()
    server.process.wait()
    server.process.stdout.close()
    server.start()


def test_a_key_outlives_the_server(tmp_path, character_png):
    """The server dies before the work, between the work and its answer, and after it: one job, one price, one answer."""
    with Server(tmp_path / "data", workers=0, log="false") as server:
        before = server.get("/api/credits").json()["balance"]
        listener, url = hanging_socket()
        send = prepared(server, "/api/characters/preprocess", data={"name": "A", "image_url": url})
        lost = threading.Thread(target=lambda: pytest.raises(requests.RequestException, send))
        lost.start()
        downloading, _ = listener.accept()
        assert send().status_code == 409, "it is being answered"
        restart(server)
        lost.join()
        downloading.close()
        threading.Thread(target=serve_file, args=(listener, character_png), daemon=True).start()
        answer = send()
        assert answer.status_code == 200, answer.text

        # As if it had died after the transaction: the claim has no answer, and its owner is gone.
        restart(server)
        with sqlite3.connect(tmp_path / "data/troupe.db") as database:
            assert database.execute("UPDATE idempotency SET status = NULL, body = NULL").rowcount == 1
        again = send()
        assert again.status_code == 200 and again.json() == answer.json()
        assert "Idempotency-Replayed" not in again.headers

        restart(server)
        replayed = send()
        assert replayed.json() == answer.json() and replayed.headers["Idempotency-Replayed"] == "true"
        assert len(server.rows("SELECT id FROM jobs")) == 1 and len(server.rows("SELECT id FROM characters")) == 1
        assert server.get("/api/credits").json()["balance"] == before - 1
        server.assert_ledger_sums()


def serve_file(listener, path):
    """Answers one request with the file."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        content = path.read_bytes()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(content) + content)
