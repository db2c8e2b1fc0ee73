"""What every dialect has beside its own: URL inputs from wherever, idempotency, webhooks, events, files."""
import base64
import hashlib
import hmac
import http.server
import json
import threading
import time as clock

import pytest
import requests
from conftest import make_material
from photos import QuietHandler
from serving import Server


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_material(tmp_path_factory.mktemp("clip") / "one", "--seconds", "1", "--width", "180", "--height", "320") / "performance.mp4"


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("idle") / "data", workers=0) as running:
        yield running


@pytest.fixture(scope="module")
def elsewhere(character_png, clip):
    """Somebody else's server: files, pages, redirects; it keeps what is posted to it."""

    class Handler(QuietHandler):
        def do_GET(self):
            served = {"/character.png": (character_png, "image/png"), "/dance.mp4": (clip, "video/mp4"), "/unnamed": (clip, "application/octet-stream")}
            if self.path in served:
                path, kind = served[self.path]
                self.answer(200, path.read_bytes(), Content_Type=kind)
            elif self.path == "/page":
                self.answer(200, b"<!DOCTYPE html><p>Log in first", Content_Type="text/html; charset=utf-8")
            elif self.path == "/disguised":
                self.answer(200, b"<!DOCTYPE html><p>Log in first", Content_Type="image/png")
            elif self.path == "/moved":
                self.answer(302, Location="/character.png")
            elif self.path == "/round":
                self.answer(302, Location="/round")
            elif self.path == "/inside":
                self.answer(302, Location="http://169.254.169.254/latest/meta-data/")
            elif self.path == "/hanging":
                clock.sleep(5)
                self.answer(404)
            elif self.path == "/huge":
                self.send_response(200)
                self.send_header("Content-Length", "20000001")
                self.end_headers()
            else:
                self.answer(404)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.posted.append((self.path, dict(self.headers), body))
            self.answer(500 if self.path == "/broken" else 204)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.posted = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


# --- URLs ---


def test_inputs_by_url(idle, elsewhere):
    made = idle.post("/api/render", data={"ref_image_url": f"{elsewhere.url}/moved", "driving_video_url": f"{elsewhere.url}/unnamed"})
    assert made.status_code == 200, made.text
    assert idle.post("/api/characters/preprocess", json={"name": "x", "image_url": f"{elsewhere.url}/character.png"}).status_code == 200
    assert idle.post("/v1/motions", data={"motion_video_url": f"{elsewhere.url}/dance.mp4"}).status_code == 200


@pytest.mark.parametrize("where, word", [("/page", "text/html"), ("/disguised", "PNG"), ("/round", "redirect"), ("/inside", "image_url"), ("/huge", "20"), ("/none", "404")])
def test_bad_urls(idle, elsewhere, where, word):
    before = idle.get("/api/credits").json()["balance"]
    answer = idle.post("/api/characters/preprocess", data={"name": "x", "image_url": elsewhere.url + where})
    assert answer.status_code == 400 and answer.json()["detail"]["error_code"] == "CS-UORC01-002", answer.text
    assert "image" in answer.json()["detail"]["message"] and word in answer.json()["detail"]["message"], answer.text
    assert idle.get("/api/credits").json()["balance"] == before


@pytest.mark.parametrize("url", ["http://10.0.0.1/a.png", "http://[::1]/a.png", "http://169.254.169.254/a", "http://[::ffff:10.0.0.1]/", "file:///etc/passwd", "gopher://x/",
                                 "http://", "not a url", "http://no-such-host.invalid/a.png"])
def test_urls_inside(idle, url):
    started = clock.monotonic()
    answer = idle.post("/api/characters/preprocess", data={"name": "x", "image_url": url})
    assert answer.status_code == 400 and "image_url" in answer.json()["detail"]["message"], answer.text
    assert clock.monotonic() - started < 30


def test_hanging_downloads_leave_room_for_others(idle, elsewhere):
    """One account's slow servers neither fill the threads nor stop another account's requests."""
    other, answers = idle.new_key("--account", "other", "--credits", "5"), []

    def ask():
        answers.append(idle.post("/api/characters/preprocess", data={"name": "x", "image_url": f"{elsewhere.url}/hanging"}))

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    clock.sleep(1)
    started = clock.monotonic()
    assert idle.post("/api/characters/preprocess", key=other, json={"name": "x", "image_url": f"{elsewhere.url}/character.png"}).status_code == 200
    assert clock.monotonic() - started < 3
    for thread in threads:
        thread.join()
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 8 and all(answer.headers["Retry-After"] for answer in refused)
    assert sum(answer.status_code == 400 for answer in answers) == 16


# --- once is once ---


def test_idempotency(idle, character_png):
    def import_scene(name, key):
        return idle.post("/api/scenes/import", json={"template_id": name}, headers={"Idempotency-Key": key})

    first = import_scene("none", "two")
    assert first.status_code == 400 and import_scene("none", "two").json() == first.json()
    assert import_scene("other", "two").status_code == 409
    before = idle.get("/api/credits").json()["balance"]
    request = requests.Request("POST", f"{idle.url}/api/characters/preprocess", data={"name": "x"}, files={"image": ("a.png", character_png.read_bytes())},
                               headers={"Authorization": f"Bearer {idle.key}", "Idempotency-Key": "three"}).prepare()
    with requests.Session() as session:
        answers = [session.send(request) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200} and len({answer.text for answer in answers}) == 1
    assert idle.get("/api/credits").json()["balance"] == before - 1


# --- webhooks ---


def wait_for(found, patience=60):
    limit = clock.monotonic() + patience
    while not (result := found()):
        assert clock.monotonic() < limit, "it did not come"
        clock.sleep(0.1)
    return result


def test_webhook(server, elsewhere, character_png, clip):
    """One signed notice at the end, with the object that a GET gives."""
    with open(character_png, "rb") as picture, open(clip, "rb") as video:
        job = server.post("/api/render", data={"webhook_url": f"{elsewhere.url}/done"}, files={"ref_image": picture, "driving_video": video}).json()["job_id"]
    _, headers, body = wait_for(lambda: next((p for p in elsewhere.posted if p[0] == "/done"), None), 240)
    assert json.loads(body) == server.get(f"/api/render/{job}").json() and json.loads(body)["status"] == "complete"
    secret = base64.b64decode(server.rows("SELECT webhook_secret FROM accounts WHERE id = (SELECT account FROM jobs WHERE id = ?)", job)[0]["webhook_secret"].removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    assert "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() in headers["webhook-signature"].split()
    deliveries = wait_for(lambda: [d for d in server.get(f"/api/jobs/{job}/deliveries").json()["deliveries"] if d.get("delivered_at") or d.get("delivered")])
    assert len(deliveries) == 1
    assert len([p for p in elsewhere.posted if p[0] == "/done"]) == 1


def test_webhook_in_its_dialect(server, elsewhere, character_png):
    """A character of /v1 reports as /v1 shows it."""
    with open(character_png, "rb") as picture:
        made = server.post("/v1/characters", data={"webhook_url": f"{elsewhere.url}/v1"}, files={"image": picture}).json()
    body = json.loads(wait_for(lambda: next((p for p in elsewhere.posted if p[0] == "/v1"), None), 120)[2])
    assert body["id"] == made["id"] and body["status"] == "ready" and body["object"] == "character"


# --- events ---


def test_events(server, character_png, clip):
    with open(character_png, "rb") as picture, open(clip, "rb") as video:
        job = server.post("/api/render", files={"ref_image": picture, "driving_video": video}).json()["job_id"]
    told = []
    with requests.get(f"{server.url}/api/jobs/{job}/events", stream=True, timeout=240) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        for line in stream.iter_lines(decode_unicode=True):
            if line.startswith("data: "):
                told.append(json.loads(line[6:]))
    assert told[-1]["status"] == "complete" and told[-1]["progress"] == 100
    assert [event["progress"] for event in told] == sorted(event["progress"] for event in told)
    assert all(set(event) == {"job_id", "status", "checkpoint", "progress", "stage"} and event["job_id"] == job for event in told)
    seen = server.get(f"/api/jobs/{job}").json()
    assert seen["kind"] == "render" and seen["status"] == "complete" and seen["credits_used"] == 1
    assert server.get(f"/api/jobs/{job}", key=False).status_code == 401
    assert server.get("/api/jobs/none/events", key=False).status_code == 404


def test_events_of_others(idle, character_png):
    """The making of a character is its account's matter."""
    with open(character_png, "rb") as picture:
        job = idle.post("/api/characters/preprocess", data={"name": "x"}, files={"image": picture}).json()["job_id"]
    assert idle.get(f"/api/jobs/{job}/events", key=False).status_code == 404
    stranger = idle.new_key("--account=stranger")
    assert idle.get(f"/api/jobs/{job}", key=stranger).status_code == idle.get(f"/api/jobs/{job}/deliveries", key=stranger).status_code == 404
    assert idle.get(f"/api/render/{job}", key=False).status_code == 404


# --- files ---


def test_files(server, character_png, clip):
    with open(character_png, "rb") as picture, open(clip, "rb") as video:
        job = server.post("/api/render", files={"ref_image": picture, "driving_video": video}).json()["job_id"]
    url = server.wait(f"/api/render/{job}")["cdn_url"]
    whole = requests.get(url)
    assert whole.status_code == 200 and whole.headers["Accept-Ranges"] == "bytes"
    part = requests.get(url, headers={"Range": "bytes=10-19"})
    assert part.status_code == 206 and part.content == whole.content[10:20]
    assert requests.get(url, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    assert requests.get(url, headers={"Range": f"bytes={len(whole.content)}-"}).status_code == 416
    path, query = url.split("?")
    for wrong in (path, f"{url}0", url.replace("expires=1", "expires=2"), url.replace(".mp4", ".html"), url[:-1] + ("0" if url[-1] != "0" else "1")):
        assert requests.get(wrong).status_code == 403, wrong
    assert requests.get(f"{server.url}/files/../troupe.db?{query}").status_code in (403, 404)
