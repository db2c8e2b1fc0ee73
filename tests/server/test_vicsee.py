"""VicSee's API under /api/v1: every documented answer in every state, every error code, what is charged and what is given back."""
import base64
import hashlib
import hmac
import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time as clock
from urllib.parse import urlparse

import pytest
import requests
from models import make_toy, poison
from serving import Server
from shapes import assert_shape, integer, link, list_of, matching, null, nullable, number, one_of, shape, text, time, truth, uuid
from test_openapi import OPERATIONS, assert_documented

FAILURE = {"code": matching("[A-Z_]+"), "key": matching("[a-z_]+"), "message": text}
TRAINING = {"job_id": text, "progress": number, "step": integer, "steps": nullable(integer), "loss": nullable(number), "model": text, "class": text, "credits": integer,
            "previews_url": nullable(link), "loss_chart_url": nullable(link), "lora_url": nullable(link), "error": nullable(shape(**FAILURE)), "created_at": time,
            "completed_at": nullable(time)}
SIX = {"character_id": uuid, "name": text, "trigger_word": text, "status": one_of("training", "ready", "failed"), "image_count": integer, "created_at": time}
STARTED = {**SIX, "credits_used": one_of(500), "job_id": text}
CHARACTER = {**SIX, "description": nullable(text), "rig_status": one_of("pending", "processing", "ready", "failed"), "rig_error": nullable(shape(**FAILURE)), "thumbnail_url": nullable(link),
             "inspection": nullable(list_of(lambda value: {"verdict", "remarks", "readable"} <= set(value))), "chosen_image": nullable(integer), "training": nullable(shape(**TRAINING))}
IMAGES = shape(images=list_of(shape(url=link)))
DRAWN = {"id": matching("task_.+"), "character_id": uuid, "status": one_of("completed"), "output": IMAGES, "credits_used": integer, "credits_remaining": integer, "created_at": time,
         "seed": integer}
TASK = {"id": text, "model": text, "prompt": lambda value: isinstance(value, str), "status": one_of("pending", "processing", "completed", "failed"),
        "mediaType": one_of("image", "video"), "createdAt": time, "result": lambda value: value is None or isinstance(value, dict), "error": nullable(shape(**FAILURE)),
        "progress": number, "characterId": nullable(uuid), "seed": nullable(integer), "creditsUsed": integer, "completedAt": nullable(time), "expiresAt": nullable(time)}
RESULT = {"url": link, "type": one_of("image"), "images": list_of(shape(url=link))}
QUEUED = {"id": matching("task_.+"), "model": text, "status": one_of("pending"), "creditsUsed": integer, "creditsRemaining": integer, "createdAt": time,
          "resolvedParams": shape(aspect_ratio=text, num_outputs=integer, seed=integer)}
PRICED = {"dry_run": one_of(True), "valid": one_of(True), "credits": integer}
ASPECTS = ["1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3"]


def described(answer):
    """Nothing that happens here is outside the description."""
    path, method = urlparse(answer.url).path, answer.request.method.lower()
    for pattern, known in OPERATIONS:
        if known == method and re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(pattern)), path) and answer.status_code < 500:
            return assert_documented(pattern, method, answer)


def good(answer, keys, **exactly):
    assert answer.status_code == 200, answer.text
    assert_shape(answer.json(), {"success": one_of(True), "data": lambda value: isinstance(value, dict)})
    assert answer.headers["Content-Type"] == "application/json"
    assert_limits(answer)
    described(answer)
    assert_shape(answer.json()["data"], keys, **exactly)
    return answer.json()["data"]


def refused(answer, status, code, *words):
    assert answer.status_code == status, answer.text
    assert_shape(answer.json(), {"success": one_of(False), "error": shape(code=one_of(code), message=text)})
    assert_limits(answer)
    described(answer)
    for word in words:
        assert word.lower() in answer.json()["error"]["message"].lower(), answer.text
    return answer.json()["error"]["message"]


def assert_limits(answer):
    assert int(answer.headers["X-RateLimit-Limit"]) >= int(answer.headers["X-RateLimit-Remaining"]) >= 0
    assert answer.headers["X-RateLimit-Reset"].endswith("T00:00:00.000Z") and time(answer.headers["X-RateLimit-Reset"])


def credits(server):
    return good(server.get("/api/v1/credits"), {"credits": integer})["credits"]


def create(server, photos, **fields):
    return server.post("/api/v1/characters/create", json={"image_urls": photos.urls(10), **fields})


def character(server, identity, **exactly):
    return good(server.get(f"/api/v1/characters/{identity}"), CHARACTER, **exactly)


def trained(server, identity, patience=120, again=False):
    """Polls to the end; every answer on the way has its form, and progress never goes back. again: it has a LoRA already,
    which draws until there is a newer one."""
    limit, progress = clock.monotonic() + patience, 0
    while True:
        seen = character(server, identity)
        training = seen["training"]
        assert training["progress"] >= progress
        progress = training["progress"]
        if seen["status"] != "training":
            return seen
        assert (training["lora_url"] is not None) == again and training["error"] is None and training["completed_at"] is None
        assert clock.monotonic() < limit, server.log_text()[-3000:]
        clock.sleep(0.05)


def settled(server, identity, patience=120):
    """Until the rig is done too."""
    limit = clock.monotonic() + patience
    while (seen := character(server, identity))["rig_status"] not in ("ready", "failed"):
        assert clock.monotonic() < limit
        clock.sleep(0.1)
    return seen


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where the small model is found beside the networks."""
    folder = tmp_path_factory.mktemp("home")
    make_toy(folder / "troupe/models/toy")
    return {"XDG_DATA_HOME": str(folder)}


@pytest.fixture(scope="module")
def studio(tmp_path_factory, home):
    """Trains and draws."""
    with Server(tmp_path_factory.mktemp("studio") / "data", environment=home) as running:
        yield running


@pytest.fixture(scope="module")
def idle(tmp_path_factory, home):
    with Server(tmp_path_factory.mktemp("idle") / "data", environment=home, workers=0) as running:
        yield running


@pytest.fixture(scope="module")
def sarah(studio, photos):
    """A trained character."""
    made = good(create(studio, photos, name="Sarah", trigger_word="sarahx"), STARTED)
    return trained(studio, made["character_id"])


# --- keys, accounts, limits ---


def test_keys_are_checked_in_their_order(idle):
    path = f"{idle.url}/api/v1/credits"

    def ask(value):
        return requests.get(path, headers={"Authorization": value})

    refused(requests.get(path), 401, "MISSING_AUTH_HEADER", "Authorization")
    for value in ("Basic abc", idle.key, "Bearer", "Bearer ", "Token sk-x"):
        refused(ask(value), 401, "INVALID_AUTH_FORMAT", "Bearer")
    prism = idle.new_key("--dialect=prism")
    for value in ("Bearer abc", "Bearer pk-abc", f"Bearer {prism}"):
        refused(ask(value), 401, "INVALID_KEY_FORMAT", "sk-")
    refused(ask("Bearer sk-unknown"), 401, "INVALID_API_KEY")
    revoked = idle.new_key()
    idle.run("key", "revoke", revoked)
    refused(ask(f"Bearer {revoked}"), 401, "INVALID_API_KEY")
    good(ask(f"bearer {idle.key}"), {"credits": integer})
    # before the body is read, for whichever path
    assert requests.post(f"{idle.url}/api/v1/characters/create", data="{", headers={"Authorization": "Basic abc"}).json()["error"]["code"] == "INVALID_AUTH_FORMAT"


def test_accounts_without_credits_have_no_access(idle):
    poor = idle.new_key("--account=poor")
    for method, path in (("GET", "credits"), ("GET", "characters"), ("GET", "tasks/task_1"), ("POST", "characters/create"), ("POST", "generate"), ("POST", "upload")):
        refused(idle.call(method, f"/api/v1/{path}", key=poor, **({"data": "{"} if method == "POST" else {})), 403, "FORBIDDEN", "credits")
    assert idle.get("/api/v1/models", key=False).status_code == 200
    idle.run("credit", "add", "1", "--account=poor")
    good(idle.get("/api/v1/credits", key=poor), {"credits": integer}, credits=1)
    reader = idle.new_key("--scopes=read")
    refused(idle.post("/api/v1/generate", json={}, key=reader), 403, "FORBIDDEN", "write")


def test_days_are_limited(tmp_path, home):
    with Server(tmp_path / "data", environment=home, workers=0, requests_day=3) as server:
        for left in (2, 1, 0):
            answer = server.post("/api/v1/generate", json={"model": "nosuch", "prompt": "x"})
            refused(answer, 400, "INVALID_MODEL")
            assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == ("3", str(left))
        answer = server.post("/api/v1/generate", data="{", headers={"Content-Type": "application/json"})
        refused(answer, 429, "RATE_LIMITED", "3", answer.headers["X-RateLimit-Reset"])
        assert 0 < int(answer.headers["Retry-After"]) <= 86401
        refused(server.post("/api/v1/characters/create", json={}, key=server.new_key()), 429, "RATE_LIMITED")  # the account's, not the key's
        assert server.get("/api/v1/credits").headers["X-RateLimit-Remaining"] == "0"  # reading goes on
        refused(server.post("/api/v1/generate", json={}, key=server.new_key("--account=poor")), 403, "FORBIDDEN")  # is said first
        assert "X-RateLimit-Limit" not in server.get("/api/credits").headers
        server.stop()
        server.start()
        refused(server.post("/api/v1/upload", json={}), 429, "RATE_LIMITED")  # a restart forgets nothing


def test_misses_speak_the_dialect(idle):
    refused(idle.get("/api/v1/nothing"), 404, "NOT_FOUND")
    refused(idle.call("PUT", "/api/v1/credits"), 405, "METHOD_NOT_ALLOWED", "GET")
    refused(idle.post("/api/v1/generate", data="a=b"), 415, "UNSUPPORTED_MEDIA_TYPE", "application/json")
    refused(idle.post("/api/v1/generate", data=b"{", headers={"Content-Type": "application/json"}), 400, "INVALID_JSON")
    refused(idle.post("/api/v1/generate", json=[1]), 400, "INVALID_JSON", "object")
    refused(idle.post("/api/v1/characters/create", data=b'{"name": "\xff\xfe"}', headers={"Content-Type": "application/json"}), 400, "INVALID_JSON")
    refused(idle.post("/api/v1/upload", data=b'{"a": "' + b"x" * 1000001 + b'"}', headers={"Content-Type": "application/json"}), 413, "PAYLOAD_TOO_LARGE")


# --- creating ---


def test_numbers_of_images(idle, photos):
    before = credits(idle)
    for urls in ([], photos.urls(9), None, "not a list", {}):
        refused(idle.post("/api/v1/characters/create", json={"image_urls": urls}), 400, "TOO_FEW_IMAGES", "10")
    refused(idle.post("/api/v1/characters/create", json={}), 400, "TOO_FEW_IMAGES")
    refused(idle.post("/api/v1/characters/create", json={"image_urls": photos.urls(31)}), 400, "TOO_MANY_IMAGES", "30")
    refused(idle.post("/api/v1/characters/create", json={"image_urls": ["ftp://x"] * 31}), 400, "TOO_MANY_IMAGES")  # the number is judged first
    for count in (10, 30):
        good(idle.post("/api/v1/characters/create", json={"image_urls": photos.urls(count), "dry_run": True}), PRICED, credits=500)
    assert credits(idle) == before and good(idle.get("/api/v1/characters"), {"characters": one_of([]), "total": one_of(0), "limit": one_of(20), "offset": one_of(0)})


@pytest.mark.parametrize("bad, code", [
    ("ftp://example.com/a.png", "INVALID_IMAGE_URL"), ("not a url", "INVALID_IMAGE_URL"), ("", "INVALID_IMAGE_URL"), (None, "INVALID_IMAGE_URL"), (7, "INVALID_IMAGE_URL"),
    ("data:image/png;base64,iVBORw0KGgo=", "INVALID_IMAGE_URL"), ("file:///etc/passwd", "INVALID_IMAGE_URL"),
    ("/missing.png", "IMAGE_DOWNLOAD_FAILED"), ("/page", "IMAGE_DOWNLOAD_FAILED"), ("/text.png", "IMAGE_DOWNLOAD_FAILED"), ("/huge.png", "IMAGE_DOWNLOAD_FAILED"),
    ("http://169.254.169.254/a.png", "IMAGE_DOWNLOAD_FAILED"), ("http://no-such-host.invalid/a.png", "IMAGE_DOWNLOAD_FAILED")])
def test_one_bad_image_of_ten(idle, photos, bad, code):
    before, drafts = credits(idle), len(list((idle.data / "objects/draft").iterdir()))
    urls = photos.urls(10)
    urls[6] = photos.url + bad if isinstance(bad, str) and bad.startswith("/") else bad
    message = refused(idle.post("/api/v1/characters/create", json={"image_urls": urls}), 400 if code == "INVALID_IMAGE_URL" else 422, code)
    assert "image_urls[6]" in message, message
    assert credits(idle) == before
    assert idle.rows("SELECT COUNT(*) AS n FROM characters WHERE name = 'Character'")[0]["n"] == 0
    assert len(list((idle.data / "objects/draft").iterdir())) == drafts


def test_names_and_words(idle, photos):
    def dry(**fields):
        return create(idle, photos, dry_run=True, **fields)

    for name in ("", "ß", "ß" * 60, "名" * 61, "名" * 100, None):
        good(dry(name=name), PRICED)
    refused(dry(name="x" * 101), 400, "INVALID_REQUEST", "name", "100")
    refused(dry(name=7), 400, "INVALID_REQUEST", "name")
    refused(dry(name="a\u0000b"), 400, "INVALID_JSON")
    refused(dry(name="a\nb"), 400, "INVALID_REQUEST", "name")
    for word in ("two words", "a" * 41, "!"):
        refused(dry(trigger_word=word), 400, "INVALID_TRIGGER_WORD", "trigger")
    for word in ("adaz", "ADA-2_z", ""):
        good(dry(trigger_word=word), PRICED)
    refused(dry(model="nosuch"), 400, "INVALID_MODEL", "nosuch")
    refused(dry(seed=-1), 400, "INVALID_REQUEST", "seed")
    refused(dry(steps=0), 400, "INVALID_REQUEST", "steps")
    refused(dry(webhook_url="ftp://x"), 400, "INVALID_REQUEST", "webhook_url")
    refused(dry(image_urls=photos.urls(9), trigger_word="two words"), 400, "INVALID_TRIGGER_WORD")


def test_created_and_waiting(idle, photos):
    before = credits(idle)
    made = good(create(idle, photos, name="名" * 61), STARTED, name="名" * 61, status="training", image_count=10, credits_used=500)
    assert matching("CHAR[A-Z0-9]{7}")(made["trigger_word"])
    plain = good(create(idle, photos), STARTED, name="Character")
    assert credits(idle) == before - 1000
    seen = character(idle, made["character_id"], status="training", inspection=None, chosen_image=None)
    assert {key: seen[key] for key in SIX} == {key: made[key] for key in SIX}
    assert_shape(seen["training"], TRAINING, progress=0, step=0, steps=None, loss=None, credits=500, completed_at=None, error=None, lora_url=None)
    refused(idle.post(f"/api/v1/characters/{made['character_id']}/generate", json={"prompt": "x"}), 422, "CHARACTER_NOT_READY")
    refused(idle.post(f"/api/v1/characters/{made['character_id']}/train", json={}), 409, "CONFLICT")
    listing = {"characters": list_of(shape(**CHARACTER)), "total": one_of(2), "limit": integer, "offset": integer}
    assert [row["character_id"] for row in good(idle.get("/api/v1/characters"), listing)["characters"]] == [plain["character_id"], made["character_id"]]
    assert good(idle.get("/api/v1/characters?limit=1&offset=1"), listing)["characters"][0] == seen
    refused(idle.get("/api/v1/characters?limit=0"), 400, "INVALID_REQUEST", "limit")
    # renamed, deleted: gone in every dialect, and paid back
    path = f"/api/v1/characters/{plain['character_id']}"
    good(idle.call("PATCH", path, json={"name": " Ada ", "description": "d"}), CHARACTER, name="Ada", description="d")
    refused(idle.call("PATCH", path, json={}), 400, "INVALID_REQUEST", "name")
    refused(idle.call("PATCH", path, json={"name": ""}), 400, "INVALID_REQUEST", "name")
    good(idle.delete(path), {"character_id": uuid, "deleted": one_of(True)})
    refused(idle.get(path), 404, "NOT_FOUND")
    refused(idle.delete(path), 404, "NOT_FOUND")
    assert idle.get(f"/api/characters/{plain['character_id']}").status_code == 404
    assert credits(idle) == before - 500
    idle.delete(f"/api/v1/characters/{made['character_id']}")
    assert credits(idle) == before
    idle.assert_ledger_sums()


def test_credits_are_asked_for_before_anything_is_fetched(idle, photos):
    key = idle.new_key("--account=small", "--credits=499")
    unreachable = ["http://no-such-host.invalid/a.png"] * 10
    refused(idle.post("/api/v1/characters/create", json={"image_urls": unreachable}, key=key), 402, "INSUFFICIENT_CREDITS", "500", "499")
    refused(idle.post("/api/v1/characters/create", json={"image_urls": ["ftp://x"] * 10}, key=key), 400, "INVALID_IMAGE_URL")


def test_nothing_can_train(tmp_path, photos):
    """A server without a model says so, and takes nothing."""
    (tmp_path / "models").mkdir()
    with Server(tmp_path / "data", workers=0, models=str(tmp_path / "models")) as server:
        before = credits(server)
        refused(create(server, photos), 500, "TRAINING_SUBMIT_FAILED", "model")
        assert credits(server) == before and server.rows("SELECT COUNT(*) AS n FROM jobs")[0]["n"] == 0
        assert good(server.get("/api/v1/models"), {"models": one_of([])})


# --- the way of a character ---


def test_a_training_ends_well(studio, sarah):
    assert_shape(sarah, CHARACTER, status="ready", name="Sarah", trigger_word="sarahx", image_count=10)
    training = sarah["training"]
    assert_shape(training, TRAINING, progress=100, step=40, steps=40, model="toy", credits=500, error=None)
    assert training["loss"] > 0 and time(training["completed_at"])
    lora = requests.get(training["lora_url"])
    assert lora.status_code == 200 and ".safetensors" in lora.headers["Content-Disposition"] and lora.headers["Content-Type"] == "application/octet-stream"
    header = json.loads(lora.content[8 : 8 + int.from_bytes(lora.content[:8], "little")])
    assert any("lora" in name for name in header), list(header)[:5]
    for name in ("previews_url", "loss_chart_url"):
        assert requests.get(training[name]).content.startswith(b"\x89PNG")
    assert studio.get(f"/api/jobs/{training['job_id']}").json()["status"] == "complete"
    assert [row["amount"] for row in studio.rows("SELECT amount FROM ledger WHERE job = ? ORDER BY created, kind", training["job_id"])]


def test_a_rig_and_a_report_come_too(studio, sarah):
    seen = settled(studio, sarah["character_id"])
    assert seen["rig_status"] == "ready" and link(seen["thumbnail_url"]) and len(seen["inspection"]) == 10 and 0 <= seen["chosen_image"] < 10
    older = studio.get(f"/api/characters/{sarah['character_id']}").json()
    assert older["status"] == "ready" and older["name"] == "Sarah"
    assert studio.get(f"/v1/characters/char_{sarah['character_id']}").json()["status"] == "ready"
    assert character(studio, f"char_{sarah['character_id']}") == character(studio, sarah["character_id"])


def draw(server, identity, **fields):
    return server.post(f"/api/v1/characters/{identity}/generate", json={"prompt": "in the park", **fields})


def test_images_come_with_the_answer(studio, sarah):
    before = credits(studio)
    made = good(draw(studio, sarah["character_id"], aspect_ratio="3:4", num_outputs=2, seed=5), DRAWN, character_id=sarah["character_id"], credits_used=30,
                credits_remaining=before - 30, seed=5)
    assert len(made["output"]["images"]) == 2 and credits(studio) == before - 30
    files = [requests.get(image["url"]) for image in made["output"]["images"]]
    assert all(file.headers["Content-Type"] == "image/png" and file.content.startswith(b"\x89PNG") for file in files)
    assert files[0].content != files[1].content
    width, height = int.from_bytes(files[0].content[16:20], "big"), int.from_bytes(files[0].content[20:24], "big")
    assert width < height
    task = good(studio.get(f"/api/v1/tasks/{made['id']}"), TASK, status="completed", mediaType="image", prompt="in the park", model="toy", error=None, progress=100,
                characterId=sarah["character_id"], creditsUsed=30, seed=5)
    assert_shape(task["result"], RESULT)
    assert task["result"]["images"] == made["output"]["images"] and task["result"]["url"] == made["output"]["images"][0]["url"]
    again = good(draw(studio, sarah["character_id"], aspect_ratio="3:4", num_outputs=2, seed=5), DRAWN)
    assert [requests.get(image["url"]).content for image in again["output"]["images"]] == [file.content for file in files]
    listing = {"tasks": list_of(shape(**TASK)), "total": integer, "limit": integer, "offset": integer}
    assert [row["id"] for row in good(studio.get("/api/v1/tasks?limit=2"), listing)["tasks"]] == [again["id"], made["id"]]
    assert good(studio.get("/api/v1/tasks?q=park&type=image"), listing)["total"] >= 2
    assert good(studio.get("/api/v1/tasks?type=video"), listing)["total"] == 0


def test_downloads(studio, sarah):
    made = good(draw(studio, sarah["character_id"], num_outputs=2), DRAWN)
    path = f"/api/v1/tasks/{made['id']}/download"
    where = good(studio.get(path), {"url": link, "type": one_of("image"), "expiresAt": nullable(time)})
    file = requests.get(where["url"]).content
    streamed = studio.get(f"{path}?mode=proxy")
    assert streamed.content == file and streamed.headers["Content-Type"] == "image/png" and streamed.headers["Content-Length"] == str(len(file))
    assert studio.get(f"{path}?mode=proxy", headers={"Range": "bytes=0-3"}).content == file[:4]
    assert good(studio.get(f"{path}?index=1"), {"url": link, "type": text, "expiresAt": nullable(time)})["url"] == made["output"]["images"][1]["url"]
    refused(studio.get(f"{path}?index=2"), 404, "NO_RESULT")
    refused(studio.get(f"{path}?index=9"), 400, "INVALID_REQUEST", "index")
    refused(studio.get(f"{path}?mode=other"), 400, "INVALID_REQUEST", "mode")


def test_every_aspect_and_number(studio, sarah):
    for aspect in ASPECTS:
        made = good(draw(studio, sarah["character_id"], aspect_ratio=aspect), DRAWN, credits_used=15)
        head = requests.get(made["output"]["images"][0]["url"]).content[16:24]
        width, height = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
        across, down = map(int, aspect.split(":"))
        assert abs(width / height - across / down) < 0.7 and (width - height) * (across - down) >= 0  # in steps of a small model
    assert len(good(draw(studio, sarah["character_id"], num_outputs=4), DRAWN, credits_used=60)["output"]["images"]) == 4


def test_what_is_refused_of_a_drawing(studio, sarah, idle):
    before, identity = credits(studio), sarah["character_id"]
    for prompt in (None, "", "   "):
        refused(draw(studio, identity, prompt=prompt), 400, "MISSING_PROMPT", "prompt")
    refused(studio.post(f"/api/v1/characters/{identity}/generate", json={}), 400, "MISSING_PROMPT")
    refused(draw(studio, identity, prompt=7), 400, "INVALID_REQUEST", "prompt")
    refused(draw(studio, identity, prompt="x" * 5001), 400, "INVALID_REQUEST", "5000")
    for aspect in ("21:9", "1:2", "", 1, "auto"):
        refused(draw(studio, identity, aspect_ratio=aspect), 400, "INVALID_ASPECT_RATIO", "16:9")
    for count in (0, 5, -1, 1.5, "many"):
        refused(draw(studio, identity, num_outputs=count), 400, "INVALID_REQUEST", "num_outputs")
    refused(draw(studio, identity, seed=1 << 40), 400, "INVALID_REQUEST", "seed")
    refused(draw(studio, identity, strength=3), 400, "INVALID_REQUEST", "strength")
    refused(draw(studio, "00000000-0000-4000-8000-000000000000"), 404, "NOT_FOUND")
    refused(draw(studio, identity, dry_run="perhaps"), 400, "INVALID_REQUEST", "dry_run")
    good(draw(studio, identity, num_outputs=3, dry_run=True), PRICED, credits=45)
    few = studio.new_key("--account=few", "--credits=29")
    refused(studio.post(f"/api/v1/characters/{identity}/generate", json={"prompt": "x"}, key=few), 404, "NOT_FOUND")  # somebody else's
    assert credits(studio) == before


def test_foreign_things(studio, sarah):
    task = good(draw(studio, sarah["character_id"]), DRAWN)["id"]
    stranger = studio.new_key("--account=stranger", "--credits=1000")
    path = f"/api/v1/characters/{sarah['character_id']}"
    refused(studio.get(path, key=stranger), 404, "NOT_FOUND")
    refused(studio.call("PATCH", path, json={"name": "x"}, key=stranger), 404, "NOT_FOUND")
    refused(studio.delete(path, key=stranger), 404, "NOT_FOUND")
    refused(studio.post(f"{path}/train", json={}, key=stranger), 404, "NOT_FOUND")
    refused(studio.get(f"/api/v1/tasks/{task}", key=stranger), 403, "FORBIDDEN", task)
    refused(studio.get(f"/api/v1/tasks/{task}/download", key=stranger), 403, "FORBIDDEN")
    refused(studio.get("/api/v1/tasks/task_nosuch", key=stranger), 404, "TASK_NOT_FOUND", "task_nosuch")
    refused(studio.get(f"/api/v1/tasks/{sarah['training']['job_id']}"), 404, "TASK_NOT_FOUND")  # no task but a training
    assert studio.get("/api/v1/tasks", key=stranger).json()["data"]["total"] == 0


def test_async_is_polled(studio, sarah):
    before = credits(studio)
    made = good(draw(studio, sarah["character_id"], **{"async": True}), {**DRAWN, "status": one_of("pending")}, credits_used=15, credits_remaining=before - 15, output={"images": []})
    seen = set()
    while (task := good(studio.get(f"/api/v1/tasks/{made['id']}"), TASK))["status"] not in ("completed", "failed"):
        seen.add(task["status"])
        assert task["result"] is None and task["error"] is None and task["completedAt"] is None
        clock.sleep(0.02)
    assert task["status"] == "completed" and seen <= {"pending", "processing"}
    events = studio.get(f"/api/jobs/{made['id']}/events").text
    assert '"status":"complete"' in events


def test_the_first_answer_again(studio, sarah):
    before = credits(studio)
    path, body, headers = f"/api/v1/characters/{sarah['character_id']}/generate", {"prompt": "on a hill"}, {"Idempotency-Key": "hill"}
    first = studio.post(path, json=body, headers=headers)
    again = studio.post(path, json=body, headers=headers)
    good(first, DRAWN)
    assert again.json() == first.json() and again.headers["Idempotency-Replayed"] == "true" and credits(studio) == before - 15
    refused(studio.post(path, json={"prompt": "in a valley"}, headers=headers), 409, "CONFLICT")


def test_who_hangs_up_finds_the_images(studio, sarah):
    address = urlparse(studio.url)
    body = json.dumps({"prompt": "far away", "num_outputs": 4})
    with socket.create_connection((address.hostname, address.port)) as client:
        client.sendall(f"POST /api/v1/characters/{sarah['character_id']}/generate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {studio.key}\r\nIdempotency-Key: hangup\r\n"
                       f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        clock.sleep(0.1)
    limit = clock.monotonic() + 60
    while (answer := studio.post(f"/api/v1/characters/{sarah['character_id']}/generate", data=body, headers={"Idempotency-Key": "hangup", "Content-Type": "application/json"})).status_code == 409:
        assert clock.monotonic() < limit
        clock.sleep(0.1)
    assert len(good(answer, DRAWN)["output"]["images"]) == 4
    assert studio.rows("SELECT COUNT(*) AS n FROM jobs WHERE prompt = 'far away'")[0]["n"] == 1


def verified(server, post):
    """A notice's body, once its signature was seen to be right."""
    _, headers, body = post
    secret = server.rows("SELECT webhook_secret FROM accounts ORDER BY created LIMIT 1")[0]["webhook_secret"].removeprefix("whsec_")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.new(base64.b64decode(secret), signed, hashlib.sha256).digest()).decode()
    return json.loads(body)


def test_notices_are_what_a_get_gives(studio, sarah, photos):
    made = good(draw(studio, sarah["character_id"], webhook_url=f"{photos.url}/drawn"), DRAWN)
    (post,) = photos.wait_posted("/drawn")
    assert verified(studio, post) == studio.get(f"/api/v1/tasks/{made['id']}").json()
    started = good(studio.post(f"/api/v1/characters/{sarah['character_id']}/train", json={"webhook_url": f"{photos.url}/trained", "trigger_word": "sarahx"}), STARTED)
    good(draw(studio, started["character_id"]), DRAWN)
    trained(studio, started["character_id"], again=True)
    (post,) = photos.wait_posted("/trained")
    notice = verified(studio, post)
    assert_shape(notice["data"], CHARACTER, status="ready")
    assert notice["data"]["training"]["job_id"] == started["job_id"]


# --- across dialects ---


def test_a_character_of_another_dialect_is_trained(studio, photos):
    made = studio.post("/api/characters/preprocess", data={"name": "Bea", "image_url": f"{photos.url}/large.png"}).json()["id"]
    path = f"/api/v1/characters/{made}"
    untrained = good(studio.get(path), {**CHARACTER, "trigger_word": one_of(""), "status": one_of("untrained"), "training": null}, image_count=1, name="Bea")
    assert untrained["training"] is None
    refused(draw(studio, made), 422, "CHARACTER_NOT_READY", "trained")
    refused(studio.post(f"{path}/train", json={}), 400, "TOO_FEW_IMAGES")
    refused(studio.post(f"{path}/train", json={"image_urls": photos.urls(30)}), 400, "TOO_MANY_IMAGES")
    refused(studio.post("/api/v1/characters/nosuch/train", json={}), 404, "NOT_FOUND")
    good(studio.post(f"{path}/train", json={"image_urls": photos.urls(9), "dry_run": True}), PRICED, credits=500)
    assert character_count(studio, made) == 1
    good(studio.post(f"{path}/train", json={"image_urls": photos.urls(9), "trigger_word": "beax", "class": "woman"}), STARTED, trigger_word="beax", image_count=10)
    seen = trained(studio, made)
    assert_shape(seen, CHARACTER, status="ready", image_count=10)
    assert seen["training"]["class"] == "woman"
    good(draw(studio, made), DRAWN)
    studio.wait(f"/api/characters/{made}")
    good(studio.delete(path), {"character_id": uuid, "deleted": truth})
    assert studio.get(f"/api/characters/{made}").status_code == 404


def character_count(server, identity):
    return server.get(f"/api/v1/characters/{identity}").json()["data"]["image_count"]


# --- generating with a model ---


def test_models(idle):
    shown = {"models": list_of(shape(id=text, name=text, type=one_of("image"), credits=one_of(15), options=shape(aspectRatios=one_of(ASPECTS), resolutions=list_of(text), maxOutputs=one_of(4)),
                                     maxImages=integer, description=lambda value: isinstance(value, str), trainable=truth))}
    assert "toy" in [model["id"] for model in good(idle.get("/api/v1/models", key=False), shown)["models"]]
    assert good(idle.get("/api/v1/models?type=image", key="sk-wrong"), shown)["models"]
    assert good(idle.get("/api/v1/models?type=video", key=False), shown)["models"] == []
    refused(idle.get("/api/v1/models?type=smell", key=False), 400, "INVALID_REQUEST", "type")


def generate(server, **body):
    return server.post("/api/v1/generate", json=body)


def test_both_forms_of_generate(studio):
    before = credits(studio)
    current = good(generate(studio, model="toy", input={"prompt": "a fox", "aspect_ratio": "16:9", "num_outputs": 2, "seed": 9}), QUEUED, model="toy", creditsUsed=30, creditsRemaining=before - 30,
                   resolvedParams={"aspect_ratio": "16:9", "num_outputs": 2, "seed": 9})
    older = good(generate(studio, model="toy", prompt="a fox", options={"aspectRatio": "16:9", "numOutputs": 2, "seed": 9}), QUEUED)
    mixed = good(generate(studio, model="toy", prompt="a fox", input={"aspect_ratio": "auto"}), QUEUED, creditsUsed=15)
    assert mixed["resolvedParams"]["aspect_ratio"] == "1:1"
    made = []
    for task in (current, older):
        limit = clock.monotonic() + 60
        while (seen := good(studio.get(f"/api/v1/tasks/{task['id']}"), TASK))["status"] != "completed":
            assert clock.monotonic() < limit and seen["status"] != "failed", seen
            clock.sleep(0.05)
        assert_shape(seen["result"], RESULT)
        assert seen["characterId"] is None and seen["prompt"] == "a fox"
        made.append([requests.get(image["url"]).content for image in seen["result"]["images"]])
    assert made[0] == made[1] and len(made[0]) == 2


def test_what_is_refused_of_generate(idle):
    before = credits(idle)
    refused(generate(idle), 400, "MISSING_MODEL", "model")
    refused(generate(idle, model="", prompt="x"), 400, "MISSING_MODEL")
    refused(generate(idle, model="nosuch"), 400, "MISSING_PROMPT")
    refused(generate(idle, model="flux-2-pro-text-to-image", prompt="x"), 400, "INVALID_MODEL", "flux-2-pro")
    refused(generate(idle, model=7, prompt="x"), 400, "INVALID_REQUEST", "model")
    refused(generate(idle, model="toy", prompt="x", input="y"), 400, "INVALID_REQUEST", "input")
    refused(generate(idle, model="toy", input={"prompt": 5}), 400, "INVALID_REQUEST", "prompt")
    refused(generate(idle, model="toy", input={"prompt": "x", "aspect_ratio": "1:7"}), 400, "INVALID_ASPECT_RATIO")
    refused(generate(idle, model="toy", prompt="x", options={"aspectRatio": "1:7"}), 400, "INVALID_ASPECT_RATIO")
    refused(generate(idle, model="toy", input={"prompt": "x", "resolution": "4K"}), 400, "INVALID_REQUEST", "resolution", "48")
    refused(generate(idle, model="toy", prompt="x", options={"duration": 5}), 400, "INVALID_REQUEST", "duration")
    refused(generate(idle, model="toy", input={"prompt": "x", "num_outputs": 5}), 400, "INVALID_REQUEST", "num_outputs")
    refused(generate(idle, model="toy", input={"prompt": "x", "image_urls": ["nonsense"]}), 400, "INVALID_IMAGE_URL", "image_urls[0]")
    refused(generate(idle, model="toy", input={"prompt": "x", "image_urls": ["data:image/png;base64,aGVsbG8="]}), 422, "IMAGE_DOWNLOAD_FAILED", "image_urls[0]")
    refused(generate(idle, model="toy", input={"prompt": "x", "image_urls": ["http://a.invalid/"] * 17}), 400, "TOO_MANY_IMAGES", "16")
    refused(idle.post("/api/v1/generate", json={"model": "toy", "prompt": "x"}, key=idle.new_key("--account=fourteen", "--credits=14")), 402, "INSUFFICIENT_CREDITS", "15", "14")
    good(generate(idle, model="toy", input={"prompt": "x", "resolution": "48", "num_outputs": 4}, dry_run=True), PRICED, credits=60)
    assert credits(idle) == before


def test_images_to_draw_after(idle, photos):
    inside = "data:image/png;base64," + base64.b64encode((photos.folder / "00.png").read_bytes()).decode()
    task = good(generate(idle, model="toy", input={"prompt": "x", "image_urls": [inside, f"{photos.url}/01.png"]}), QUEUED)
    spec = json.loads(idle.rows("SELECT spec FROM jobs WHERE id = ?", task["id"])[0]["spec"])
    wanted = [hashlib.sha256((photos.folder / name).read_bytes()).hexdigest() for name in ("00.png", "01.png")]
    assert spec["references"] == wanted
    with open(photos.folder / "noise.png", "wb") as file:
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "nullsrc=size=900x900", "-vf", "geq=random(1)*255:128:128", "-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-"], stdout=file, check=True)
    noise = (photos.folder / "noise.png").read_bytes()
    assert len(noise) > 800_000  # beyond a million characters of base64
    good(generate(idle, model="toy", input={"prompt": "x", "image_urls": ["data:image/png;base64," + base64.b64encode(noise).decode()]}), QUEUED)
    single = good(generate(idle, model="toy", prompt="x", options={"image": inside}), QUEUED)
    assert json.loads(idle.rows("SELECT spec FROM jobs WHERE id = ?", single["id"])[0]["spec"])["references"] == wanted[:1]
    refused(idle.get(f"/api/v1/tasks/{task['id']}/download"), 404, "NO_RESULT", "queued")
    idle.call("GET", f"/api/v1/tasks/{task['id']}")


# --- uploads ---


def test_uploads_stand_for_their_files(tmp_path, home, photos):
    """Also where no private network may be fetched from: the server reads its own files."""
    with Server(tmp_path / "data", environment=home, workers=0, fetch_allow=None) as server:
        body = (photos.folder / "03.png").read_bytes()
        shown = {"uploadUrl": link, "publicUrl": link, "key": text, "expiresAt": time}
        place = good(server.post("/api/v1/upload", json={"contentType": "image/png", "sizeBytes": len(body)}), shown)
        assert requests.put(place["uploadUrl"], data=body, headers={"Content-Type": "image/png"}).status_code in (200, 201)
        assert requests.get(place["publicUrl"]).content == body
        task = good(generate(server, model="toy", input={"prompt": "x", "image_urls": [place["publicUrl"]]}), QUEUED)
        assert json.loads(server.rows("SELECT spec FROM jobs WHERE id = ?", task["id"])[0]["spec"])["references"] == [hashlib.sha256(body).hexdigest()]
        stranger = server.new_key("--account=stranger", "--credits=100")
        answer = server.post("/api/v1/generate", json={"model": "toy", "async": True, "input": {"prompt": "x", "image_urls": [place["publicUrl"]]}}, key=stranger)
        assert answer.status_code == 200, answer.text  # whoever knows a public address may read it
        good(server.post("/api/v1/characters/create", json={"image_urls": [place["publicUrl"]] * 10}), STARTED)
        refused(server.post("/api/v1/upload", json={}), 400, "INVALID_REQUEST", "contentType")
        refused(server.post("/api/v1/upload", json={"contentType": "text/html"}), 400, "INVALID_REQUEST")
        refused(server.post("/api/v1/upload", json={"contentType": "image/png", "sizeBytes": 10**9}), 413, "PAYLOAD_TOO_LARGE")
        refused(server.post("/api/v1/upload", json={"contentType": "image/png", "sizeBytes": "large"}), 400, "INVALID_REQUEST", "sizeBytes")


# --- what fails is given back ---


def test_a_training_that_breaks_is_given_back(tmp_path, photos):
    poison(make_toy(tmp_path / "home/troupe/models/toy"))
    with Server(tmp_path / "data", environment={"XDG_DATA_HOME": str(tmp_path / "home")}) as server:
        before = credits(server)
        made = good(create(server, photos, webhook_url=f"{photos.url}/broken"), STARTED)
        seen = trained(server, made["character_id"])
        assert_shape(seen, CHARACTER, status="failed")
        assert_shape(seen["training"], TRAINING, credits=0, lora_url=None)
        assert_shape(seen["training"]["error"], FAILURE, code="TRAINING_FAILED", key="generic")
        assert credits(server) == before
        refused(draw(server, made["character_id"]), 422, "CHARACTER_NOT_READY")
        (post,) = photos.wait_posted("/broken")
        assert json.loads(post[2])["data"]["status"] == "failed"
        server.assert_ledger_sums()


@pytest.fixture
def apart(studio, sarah, home, tmp_path):
    """A server on its own copy of the studio's data, which it may break."""
    studio_stopped = tmp_path / "data"
    shutil.copytree(studio.data, studio_stopped)

    def start(environment=None, **options):
        server = Server(studio_stopped, environment=environment or home, **options)
        server.key = studio.key
        (tmp_path / "data.seen").touch()
        return server

    return start


def test_images_that_take_too_long_are_given_back(apart, sarah):
    with apart(workers=0, answer_seconds=1) as server:
        before = credits(server)
        refused(draw(server, sarah["character_id"], num_outputs=2), 500, "GENERATION_FAILED", "1 s", "given back")
        assert credits(server) == before
        (task,) = [task for task in server.get("/api/v1/tasks").json()["data"]["tasks"] if task["status"] == "failed"]
        assert_shape(task, TASK, creditsUsed=0, result=None)
        assert_shape(task["error"], FAILURE, code="CANCELLED")
        named = {"Idempotency-Key": "slow"}
        refused(server.post(f"/api/v1/characters/{sarah['character_id']}/generate", json={"prompt": "slow"}, headers=named), 500, "GENERATION_FAILED")
        server.stop()
        server.options.update({"workers": 1, "answer-seconds": 60})
        server.start()
        good(server.post(f"/api/v1/characters/{sarah['character_id']}/generate", json={"prompt": "slow"}, headers=named), DRAWN)  # worth another try
        assert credits(server) == before - 15
        server.assert_ledger_sums()


def test_images_that_cannot_be_drawn_are_given_back(apart, sarah, tmp_path):
    model = make_toy(tmp_path / "home/troupe/models/toy")
    (model / "autoencoder.safetensors").write_bytes((model / "autoencoder.safetensors").read_bytes()[:100000])
    with apart(environment={"XDG_DATA_HOME": str(tmp_path / "home")}, attempts=1) as server:
        before = credits(server)
        refused(draw(server, sarah["character_id"], webhook_url="http://127.0.0.1:1/"), 500, "GENERATION_FAILED", "given back")
        assert credits(server) == before
        task = server.get("/api/v1/tasks?limit=1").json()["data"]["tasks"][0]
        assert_shape(task, TASK, status="failed", result=None, creditsUsed=0)
        assert_shape(task["error"], FAILURE, code="GENERATION_FAILED", key="generic")
        refused(server.get(f"/api/v1/tasks/{task['id']}/download"), 404, "NO_RESULT")


def test_a_model_that_is_gone(apart, sarah, tmp_path):
    make_toy(tmp_path / "home/troupe/models/other")
    with apart(environment={"XDG_DATA_HOME": str(tmp_path / "home")}, workers=0) as server:
        before = credits(server)
        refused(draw(server, sarah["character_id"]), 500, "GENERATION_FAILED", "toy")
        assert credits(server) == before


def test_a_server_that_stops_says_so_and_goes_on_later(apart, sarah):
    answers = []
    server = apart(workers=0)
    with server:
        before = credits(server)
        headers = {"Idempotency-Key": "stopped"}
        client = threading.Thread(target=lambda: answers.append(server.post(f"/api/v1/characters/{sarah['character_id']}/generate", json={"prompt": "later"}, headers=headers)))
        client.start()
        clock.sleep(0.7)
        assert server.stop() == 0
        client.join()
    refused(answers[0], 503, "SERVICE_UNAVAILABLE")
    server.options.update(workers=1)
    with server:
        (task,) = [task for task in server.get("/api/v1/tasks").json()["data"]["tasks"] if task["prompt"] == "later"]
        limit = clock.monotonic() + 60
        while server.get(f"/api/v1/tasks/{task['id']}").json()["data"]["status"] != "completed":
            assert clock.monotonic() < limit
            clock.sleep(0.1)
        again = server.post(f"/api/v1/characters/{sarah['character_id']}/generate", json={"prompt": "later"}, headers=headers)
        assert good(again, DRAWN)["id"] == task["id"]  # what the first request began
        assert credits(server) == before - 15
        server.assert_ledger_sums()


def test_a_server_that_is_killed(apart, sarah):
    """Whoever waited sends the same request again, and has the images of the first one."""
    server = apart(workers=0)
    path, body, headers = f"/api/v1/characters/{sarah['character_id']}/generate", {"prompt": "killed"}, {"Idempotency-Key": "killed"}

    def ask():
        with pytest.raises(requests.ConnectionError):
            server.post(path, json=body, headers=headers)

    with server:
        before = credits(server)
        client = threading.Thread(target=ask)
        client.start()
        clock.sleep(0.7)
        server.stop(signal.SIGKILL)
        client.join()
    server.options.update(workers=1)
    with server:
        made = good(server.post(path, json=body, headers=headers), DRAWN, credits_remaining=before - 15)
        assert server.rows("SELECT id FROM jobs WHERE prompt = 'killed'") == [{"id": made["id"]}]
        server.assert_ledger_sums()


def test_results_are_kept_for_their_days(studio, sarah, request):
    task = good(draw(studio, sarah["character_id"]), DRAWN)["id"]
    server = request.getfixturevalue("apart")(workers=0)  # a copy from now on
    with sqlite3.connect(server.data / "troupe.db") as database:
        database.execute("UPDATE jobs SET expires = created WHERE id = ?", (task,))
    with server:
        good(server.get(f"/api/v1/tasks/{task}"), TASK, status="completed", result=None, expiresAt=None)
        refused(server.get(f"/api/v1/tasks/{task}/download"), 404, "NO_RESULT", "no longer")
