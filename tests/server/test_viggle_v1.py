"""Viggle's newer API under /v1, on the same characters, scenes and renders."""
import time as clock

import pytest
import requests
from conftest import ffmpeg, make_material, probe
from serving import Server
from shapes import assert_shape, integer, link, list_of, matching, nullable, number, one_of, shape, text, time, truth, uuid

FAILURE = {"code": text, "message": text, "retryable": truth, "request_id": nullable(text), "details": one_of({}),
           "remediation": shape(action=text, retry_after_ms=nullable(integer))}
STATUS = one_of("queued", "processing", "ready", "failed")
CHARACTER = {"id": matching("char_.+"), "object": one_of("character"), "name": text, "status": STATUS, "progress": nullable(number),
             "capabilities": one_of([], ["video_render"]), "description": nullable(text), "thumbnail_url": nullable(link), "created_at": time,
             "completed_at": nullable(time), "error": nullable(shape(**FAILURE))}
MOTION = {"id": uuid, "motion_id": uuid, "object": one_of("motion"), "name": text, "status": STATUS, "type": one_of("video"), "progress": nullable(number),
          "capabilities": one_of([], ["video_render"]), "model": text, "background_mode": text, "duration_s": nullable(number), "fps": nullable(number),
          "width": nullable(integer), "height": nullable(integer), "template_id": nullable(text),
          "segments": list_of(shape(uuid=matching("person_.+"), type=one_of("human"))), "thumbnail_url": nullable(link), "created_at": time,
          "completed_at": nullable(time), "error": nullable(shape(**FAILURE))}
RENDER = {"id": text, "object": one_of("render", "video"), "status": one_of("queued", "processing", "ready", "failed", "cancelled"),
          "stage": one_of(None, "analyzing", "rendering", "finishing"), "progress": nullable(number), "video_url": nullable(link), "alpha_url": nullable(link),
          "mode": text, "credits_reserved": number, "credits_used": nullable(number), "created_at": time, "completed_at": nullable(time),
          "error": nullable(shape(**FAILURE))}


def listing(item):
    return {"data": list_of(shape(**item)), "total": integer, "limit": integer, "offset": integer}


def good(answer, keys, **exactly):
    assert answer.status_code == 200, answer.text
    assert_shape(answer.json(), keys, **exactly)
    return answer.json()


def refused(answer, status, code, *words):
    assert answer.status_code == status, answer.text
    assert_shape(answer.json(), {"error": shape(**FAILURE)})
    error = answer.json()["error"]
    assert error["code"] == code and error["request_id"] == answer.headers["X-Request-Id"], error
    for word in words:
        assert word.lower() in error["message"].lower(), error


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_material(tmp_path_factory.mktemp("clip") / "one", "--seconds", "1", "--width", "180", "--height", "320") / "performance.mp4"


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("idle") / "data", workers=0) as running:
        yield running


def follow(server, path):
    """To the end; every answer on the way has the right form."""
    limit = clock.monotonic() + 240
    while True:
        seen = good(server.get(path), RENDER)
        if seen["status"] in ("ready", "failed", "cancelled"):
            return seen
        assert seen["video_url"] is None and seen["error"] is None
        assert clock.monotonic() < limit
        clock.sleep(0.1)


def test_the_way_of_a_render(server, character_png, clip, tmp_path):
    """A character and a motion are made, meet in a render, and are known to the older API too."""
    with open(character_png, "rb") as picture, open(clip, "rb") as video:
        character = good(server.post("/v1/characters", files={"image": picture}, data={"name": "Ada"}), CHARACTER, name="Ada")
        motion = good(server.post("/v1/motions", files={"motion_video": video}, data={"task_id": "mine"}), MOTION)
    server.wait(f"/v1/characters/{character['id']}")
    server.wait(f"/v1/motions/{motion['id']}")
    good(server.get(f"/v1/characters/{character['id']}"), CHARACTER, status="ready", progress=100, capabilities=["video_render"])
    good(server.get(f"/v1/motions/{motion['id']}"), MOTION, status="ready", duration_s=1, capabilities=["video_render"])
    assert good(server.get("/v1/characters"), listing(CHARACTER))["data"][0]["id"] == character["id"]
    assert good(server.get("/v1/motions?limit=1"), listing(MOTION), limit=1)["data"][0]["id"] == motion["id"]
    assert server.get(f"/api/characters/{character['id']}").json()["id"] == character["id"][5:]

    made = good(server.post("/v1/renders", files={"character_id": (None, character["id"]), "motion_id": (None, motion["id"]), "background_mode": (None, "transparent")}), RENDER)
    assert made["id"].startswith("render_") and made["status"] == "queued"
    seen = follow(server, f"/v1/renders/{made['id']}")
    assert_shape(seen, RENDER, status="ready", progress=100, stage=None, credits_used=1, object="render")
    assert link(seen["alpha_url"]) and good(server.get(f"/v1/videos/{made['id']}"), RENDER) == seen
    assert good(server.get("/v1/renders"), listing(RENDER))["data"][0] == seen
    answer = server.get(f"/v1/renders/{made['id']}/download", allow_redirects=False)
    assert answer.status_code == 302
    video = requests.get(answer.headers["Location"])
    assert video.status_code == 200 and video.headers["Content-Type"] == "video/mp4"
    (tmp_path / "out.mp4").write_bytes(video.content)
    assert probe(tmp_path / "out.mp4", "-show_streams")["streams"]
    assert server.get(f"/api/render/{made['id']}", key=False).json()["status"] == "complete"

    good(server.delete(f"/v1/characters/{character['id']}"), {"success": truth})
    good(server.delete(f"/v1/motions/{motion['id']}"), {"success": truth})
    refused(server.get(f"/v1/characters/{character['id']}"), 404, "NOT_FOUND", "character")
    refused(server.get(f"/v1/motions/{motion['id']}"), 404, "NOT_FOUND", "scene")


def test_animate(server, character_png, clip):
    with open(character_png, "rb") as picture, open(clip, "rb") as video:
        made = good(server.post("/v1/videos", files={"character_image": picture, "driving_video": video}, data={"prompt": "dance", "watermark": "false"}), RENDER, object="video")
    assert made["id"].startswith("anim_")
    assert_shape(follow(server, f"/v1/videos/{made['id']}"), RENDER, status="ready", alpha_url=None)


def test_what_fails(server, clip, tmp_path):
    before = server.get("/v1/credits").json()["balance"]
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=400x400", "-frames:v", "1", tmp_path / "nobody.png")
    with open(tmp_path / "nobody.png", "rb") as picture, open(clip, "rb") as video:
        made = good(server.post("/v1/renders", files={"image": picture, "motion_video": video}), RENDER)
        picture.seek(0)
        character = good(server.post("/v1/characters", files={"image": picture}), CHARACTER)
    seen = follow(server, f"/v1/renders/{made['id']}")
    assert seen["status"] == "failed" and seen["error"]["code"] == "NO_HUMANS_DETECTED" and seen["credits_used"] == 0
    seen = server.wait(f"/v1/characters/{character['id']}")
    assert seen["status"] == "failed" and seen["error"]["code"] == "NO_HUMANS_DETECTED"
    assert_shape(server.get("/v1/credits").json(), {"balance": number, "reserved": number, "updated_at": time}, balance=before)


def test_not_offered(idle, character_png):
    """Videos from text, splats and skeletons are refused with what there is instead."""
    refused(idle.post("/v1/videos", json={"prompt": "a fox", "quality": "high", "duration_s": 5}), 400, "INVALID_REQUEST", "character_image", "driving_video")
    with open(character_png, "rb") as picture:
        refused(idle.post("/v1/videos", files={"first_frame_image": picture}, data={"prompt": "a fox"}), 400, "INVALID_REQUEST", "driving_video")
        picture.seek(0)
        refused(idle.post("/v1/characters", files={"image": picture}, data={"type": "vsplat"}), 400, "INVALID_REQUEST", "vsplat")
    refused(idle.post("/v1/motions", data={"type": "glb"}), 400, "INVALID_REQUEST", "glb")
    refused(idle.get("/v1/characters/char_1/export"), 400, "INVALID_REQUEST", "export")
    refused(idle.get("/v1/motions/1/export?download_type=mixamo"), 400, "INVALID_REQUEST", "export")


def test_refused(idle, character_png, clip):
    refused(idle.get("/v1/credits", key=False), 401, "UNAUTHENTICATED")
    refused(idle.get("/v1/credits", key="sk-wrong"), 401, "INVALID_CREDENTIAL")
    refused(idle.get("/v1/videos/anim_1", key="sk-wrong"), 401, "INVALID_CREDENTIAL")
    refused(idle.post("/v1/motions/import", json={"template_id": "x"}, key=idle.new_key("--scopes=read")), 403, "FORBIDDEN")
    refused(idle.get("/v1/videos/anim_1"), 404, "NOT_FOUND")
    refused(idle.get("/v1/nothing"), 404, "NOT_FOUND")
    refused(idle.call("PUT", "/v1/renders"), 405, "METHOD_NOT_ALLOWED")
    refused(idle.post("/v1/motions/import", json={"template_id": "x"}), 404, "NOT_FOUND", "template")
    refused(idle.post("/v1/motions/import", json={}), 400, "INVALID_REQUEST", "template_id")
    refused(idle.post("/v1/renders", data={}), 400, "INVALID_REQUEST", "image")
    refused(idle.post("/v1/renders", data={"character_id": "x"}), 400, "INVALID_REQUEST", "motion_id")
    refused(idle.post("/v1/renders", data={"character_id": "x", "motion_id": "y"}), 404, "NOT_FOUND", "x")
    refused(idle.post("/v1/characters", files={"image": ("a.png", b"text")}), 400, "UNSUPPORTED_MEDIA", "image")
    refused(idle.post("/v1/motions", files={"motion_video": ("a.mp4", b"text")}), 400, "UNSUPPORTED_MEDIA", "motion_video")
    with open(character_png, "rb") as picture:
        refused(idle.post("/v1/characters", files={"image": picture}, key=idle.new_key("--account=poor")), 402, "INSUFFICIENT_CREDITS")
        picture.seek(0)
        character = idle.post("/v1/characters", files={"image": picture}).json()["id"]
    with open(clip, "rb") as video:
        refused(idle.post("/v1/renders", data={"character_id": character}, files={"motion_video": video}), 409, "NOT_READY")
    with open(character_png, "rb") as picture, open(clip, "rb") as video:
        made = idle.post("/v1/renders", files={"image": picture, "motion_video": video}).json()
    refused(idle.get(f"/v1/renders/{made['id']}/download"), 409, "CONFLICT", "queued")
    good(idle.delete(f"/v1/renders/{made['id']}"), RENDER, status="cancelled", stage=None)
    refused(idle.delete(f"/v1/renders/{made['id']}"), 409, "CONFLICT")
