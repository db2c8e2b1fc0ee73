"""Viggle's API: every documented answer in every state, and every error code."""
import json
import time as clock

import pytest
from conftest import ffmpeg, make_material, probe, troupe
from serving import Server
from shapes import assert_shape, integer, link, list_of, matching, null, nullable, number, one_of, shape, text, time, truth, uuid

SEGMENT = {"uuid": matching("person_[0-9a-f]{8}"), "type": one_of("human")}

CHARACTER_ACCEPTED = {"id": uuid, "character_id": uuid, "job_id": matching("char_[0-9a-f]{12}"), "name": text, "status": one_of("pending"),
                      "credits_reserved": one_of(1), "enqueued_at": time, "message": text}
CHARACTER_ITEM = {"id": uuid, "character_id": uuid, "name": text, "status": one_of("pending", "processing", "ready", "failed"), "created_at": time,
                  "completed_at": nullable(time)}
CHARACTER = {**CHARACTER_ITEM, "description": nullable(text), "has_v3_encoding": truth, "has_v4_encoding": truth, "job_id": nullable(text),
             "error": nullable(text), "error_message": nullable(text), "thumbnail_url": nullable(link), "credits_used": nullable(number)}
SCENE_ACCEPTED = {"id": uuid, "scene_id": uuid, "job_id": matching("scene_[0-9a-f]{12}"), "name": text, "status": one_of("queued"),
                  "credits_reserved": one_of(0), "enqueued_at": time, "message": text}
SCENE_IMPORTED = {"id": uuid, "scene_id": uuid, "name": text, "status": one_of("ready", "pending"), "credits_reserved": one_of(0),
                  "segments": list_of(shape(**SEGMENT)), "character_uuids": list_of(text), "enqueued_at": time, "message": text}
SCENE_ITEM = {"id": uuid, "scene_id": uuid, "name": text, "status": one_of("pending", "ready", "failed"), "duration_seconds": nullable(number),
              "created_at": time, "completed_at": nullable(time)}
SCENE = {**SCENE_ITEM, "model": one_of("V4_Preview", "V3_Preview"), "background_mode": one_of("original", "solid", "transparent"), "fps": nullable(number),
         "total_frames": nullable(integer), "width": nullable(integer), "height": nullable(integer), "job_id": nullable(text), "template_id": nullable(text),
         "error": nullable(text), "error_message": nullable(text), "thumbnail_url": nullable(link), "credits_used": nullable(number),
         "segments": list_of(shape(**SEGMENT)), "character_uuids": list_of(text)}
RENDER_ACCEPTED = {"job_id": matching("job_[0-9a-f]+"), "status": one_of("queued"), "mode": one_of("full_pipeline", "preprocessed", "multi_character", "fast"),
                   "enqueued_at": time, "credits_reserved": number, "poll_url": text, "status_url": text}
RENDER = {"job_id": text, "status": one_of("queued", "processing", "complete", "failed", "cancelled"), "mode": nullable(text),
          "checkpoint": one_of(None, "ref_done", "dri_done", "bg_done", "render_done"), "progress_pct": number,
          "progress": nullable(shape(completed_chunks=integer, total_chunks=integer, percent=number)), "cdn_url": nullable(link), "download_url": nullable(link),
          "mask_cdn_url": nullable(link), "error": nullable(text), "error_code": nullable(text), "error_message": nullable(text), "chunks": one_of([]),
          "credits_reserved": number, "credits_used": nullable(number), "created_at": time, "completed_at": nullable(time)}
CREDITS = {"balance": number, "credits": number, "total_purchased": number, "total_used": number, "reserved": number, "updated_at": nullable(time)}
ERROR = {"detail": shape(error_code=matching(r"CS-[A-Z]+\d*-\d{3}"), message=text, action=text)}


def good(answer, keys, **exactly):
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json" and answer.headers["X-Request-Id"]
    assert_shape(answer.json(), keys, **exactly)
    return answer.json()


def refused(answer, status, code, *words):
    """One error in its dialect's form, whose message names what it is about."""
    assert answer.status_code == status, answer.text
    assert answer.headers["X-Request-Id"]
    assert_shape(answer.json(), ERROR)
    detail = answer.json()["detail"]
    assert detail["error_code"] == code, detail
    for word in words:
        assert word.lower() in detail["message"].lower(), detail


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """One second of two performers."""
    return make_material(tmp_path_factory.mktemp("clip") / "two", "--two", "--seconds", "1", "--width", "320", "--height", "180") / "performance.mp4"


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """A server whose jobs nobody does."""
    with Server(tmp_path_factory.mktemp("idle") / "data", workers=0, jobs_unfinished=50) as running:
        yield running


@pytest.fixture(scope="module")
def player(server, character_png):
    """A character that is ready."""
    with open(character_png, "rb") as picture:
        made = server.post("/api/characters/preprocess", data={"name": "Player"}, files={"image": picture}).json()
    assert server.wait(f"/api/characters/{made['id']}")["status"] == "ready"
    return made["id"]


@pytest.fixture(scope="module")
def stage(server, clip):
    """A scene of two people that is ready."""
    with open(clip, "rb") as video:
        made = server.post("/api/scenes/preprocess", data={"name": "Stage"}, files={"video": video}).json()
    assert server.wait(f"/api/scenes/{made['id']}")["status"] == "ready"
    return made["id"]


def balance(server, **options):
    return server.get("/api/credits", **options).json()["balance"]


# --- what works, through its life ---


def test_character(server, character_png):
    before = balance(server)
    with open(character_png, "rb") as picture:
        made = good(server.post("/api/characters/preprocess", data={"name": " Ada "}, files={"image": picture}), CHARACTER_ACCEPTED, name="Ada")
    path = f"/api/characters/{made['id']}"
    assert made["character_id"] == made["id"] and made["job_id"] == "char_" + made["id"].replace("-", "")[:12]
    assert balance(server) == before - 1
    while True:
        seen = good(server.get(path), CHARACTER)
        if seen["status"] in ("ready", "failed"):
            break
        assert not seen["has_v4_encoding"] and seen["thumbnail_url"] is None and seen["credits_used"] is None and seen["completed_at"] is None
        clock.sleep(0.05)
    assert seen["status"] == "ready" and seen["has_v3_encoding"] and seen["has_v4_encoding"] and seen["credits_used"] == 1 and seen["error"] is None
    thumbnail = server.get(seen["thumbnail_url"], key=False)
    assert thumbnail.status_code == 200 and thumbnail.headers["Content-Type"] == "image/webp"

    listed = server.get("/api/characters?limit=1")
    good(listed, {"characters": list_of(shape(**CHARACTER_ITEM)), "total": integer})
    assert listed.json()["characters"][0]["id"] == made["id"] and listed.json()["total"] >= 1

    changed = good(server.call("PATCH", path, json={"name": "Eve", "description": "tall"}), CHARACTER, name="Eve", description="tall")
    assert changed["status"] == "ready"
    assert server.get("/api/characters?q=ev").json()["total"] >= 1 and server.get("/api/characters?q=%25").json()["total"] == 0
    good(server.delete(path), {"success": truth}, success=True)
    refused(server.get(path), 404, "CS-ORIV-008", made["id"])
    refused(server.delete(path), 404, "CS-ORIV-008")
    refused(server.call("PATCH", path, json={"name": "x"}), 404, "CS-ORIV-008")


def test_character_that_fails(server, tmp_path):
    """Nobody is in the picture: the credit comes back."""
    before = balance(server)
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=400x400", "-frames:v", "1", tmp_path / "nobody.png")
    with open(tmp_path / "nobody.png", "rb") as picture:
        made = good(server.post("/api/characters/preprocess", data={"name": "Nobody"}, files={"image": picture}), CHARACTER_ACCEPTED)
    server.wait(f"/api/characters/{made['id']}")
    seen = good(server.get(f"/api/characters/{made['id']}"), CHARACTER, status="failed", credits_used=0, has_v4_encoding=False, thumbnail_url=None)
    assert text(seen["error"]) and text(seen["error_message"]) and time(seen["completed_at"])
    assert balance(server) == before


def test_scene(server, clip):
    before = balance(server)
    with open(clip, "rb") as video:
        made = good(server.post("/api/scenes/preprocess", data={"name": "Dance", "background_mode": "inpaint", "model": "V3_Preview"}, files={"video": video}),
                    SCENE_ACCEPTED)
    path = f"/api/scenes/{made['scene_id']}"
    assert made["id"] == made["scene_id"] and made["job_id"] == "scene_" + made["id"].replace("-", "")[:12]
    seen = good(server.get(path), SCENE, model="V3_Preview", background_mode="original", job_id=made["job_id"])
    if seen["status"] == "pending":
        assert seen["duration_seconds"] is None and seen["total_frames"] is None and seen["segments"] == []
    server.wait(path)
    seen = good(server.get(path), SCENE, status="ready", duration_seconds=1, fps=24, total_frames=24, width=320, height=180, error=None, template_id=None)
    assert [segment["uuid"] for segment in seen["segments"]] == seen["character_uuids"] and len(seen["segments"]) == 2
    assert server.get(seen["thumbnail_url"], key=False).status_code == 200
    listed = good(server.get("/api/scenes?limit=100&offset=0"), {"scenes": list_of(shape(**SCENE_ITEM)), "total": integer})
    assert made["id"] in [scene["id"] for scene in listed["scenes"]]
    good(server.delete(path), {"success": truth})
    refused(server.get(path), 404, "CS-ORIV-009", made["id"])
    refused(server.delete(path), 404, "CS-ORIV-009")
    assert balance(server) == before, "scenes are free"


def test_template(server, player, clip, tmp_path):
    """A published scene is imported under either name, is ready at once, and is rendered with."""
    troupe("scene", clip, "-o", tmp_path / "scene", "--quiet")
    template = server.run("template", "add", tmp_path / "scene", "--name", "Duo").stdout.strip()
    made = good(server.post("/api/scenes/import", json={"template_id": template}), SCENE_IMPORTED, name="Duo")
    again = good(server.post("/api/scenes/import", json={"template_uuid": template, "name": "Mine"}), SCENE_IMPORTED, name="Mine")
    assert again["id"] != made["id"] == made["scene_id"] and made["segments"] == again["segments"] and len(made["segments"]) == 2
    assert made["character_uuids"] == [segment["uuid"] for segment in made["segments"]]
    seen = good(server.get(f"/api/scenes/{made['id']}"), SCENE, status="ready", template_id=template, job_id=None, total_frames=24)
    assert seen["segments"] == made["segments"]
    server.run("template", "remove", template)
    refused(server.post("/api/scenes/import", json={"template_id": template}), 400, "CS-UORC01-002", "template")
    job = good(server.post("/api/render", data={"character_id": player, "scene_id": made["id"]}), RENDER_ACCEPTED, mode="preprocessed")
    assert server.wait(f"/api/render/{job['job_id']}", key=False)["status"] == "complete"


def render(server, patience=240, **fields):
    """Creates it and follows it to its end; every answer on the way has the right form."""
    files = {name: open(fields.pop(name), "rb") for name in ("ref_image", "driving_video") if name in fields}
    made = good(server.post("/api/render", data=fields, files=files or None), RENDER_ACCEPTED)
    path, seen, limit = f"/api/render/{made['job_id']}", [], clock.monotonic() + patience
    assert made["poll_url"] == made["status_url"] == path
    while not seen or seen[-1]["status"] in ("queued", "processing"):
        seen.append(good(server.get(path, key=False), RENDER, job_id=made["job_id"], mode=made["mode"]))
        if seen[-1]["status"] in ("queued", "processing"):
            assert seen[-1]["cdn_url"] is None and seen[-1]["completed_at"] is None and seen[-1]["error_code"] is None
        assert clock.monotonic() < limit
        clock.sleep(0.05)
    order = [None, "ref_done", "dri_done", "bg_done", "render_done"]
    assert [s["progress_pct"] for s in seen] == sorted(s["progress_pct"] for s in seen)
    assert [order.index(s["checkpoint"]) for s in seen] == sorted(order.index(s["checkpoint"]) for s in seen)
    return made, seen[-1]


def download(server, url, path):
    answer = server.get(url, key=False)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "video/mp4"
    path.write_bytes(answer.content)
    return probe(path, "-count_frames", "-show_streams")["streams"]


def frames(streams):
    return int(next(stream for stream in streams if stream["codec_type"] == "video")["nb_read_frames"])


def test_render_on_demand(server, character_png, clip, tmp_path):
    """The same bytes as the program alone gives, with the sound, at one credit a second."""
    before = balance(server)
    made, seen = render(server, ref_image=character_png, driving_video=clip)
    assert made["mode"] == "full_pipeline" and made["credits_reserved"] == 1
    assert_shape(seen, RENDER, status="complete", progress_pct=100, checkpoint="render_done", mask_cdn_url=None, error=None, credits_used=1)
    assert seen["cdn_url"] == seen["download_url"]
    streams = download(server, seen["cdn_url"], tmp_path / "api.mp4")
    assert frames(streams) == 24 and any(stream["codec_type"] == "audio" for stream in streams)
    assert balance(server) == before - 1
    troupe("render", "--character", character_png, "--video", clip, "-o", tmp_path / "cli.mp4", "--quiet")
    assert (tmp_path / "cli.mp4").read_bytes() == (tmp_path / "api.mp4").read_bytes()
    for key in (True, False, "sk-wrong"):
        assert server.get(f"/api/render/{made['job_id']}", key=key).status_code == 200
    refused(server.delete(f"/api/render/{made['job_id']}"), 409, "CS-UORC01-002", "complete")
    server.assert_ledger_sums()


def test_render_prepared_without_sound(server, player, stage, tmp_path):
    made, seen = render(server, character_id=player, scene_id=stage, audio="false", bg_color="1,2,3", background_mode="solid")
    assert made["mode"] == "preprocessed" and seen["status"] == "complete"
    streams = download(server, seen["cdn_url"], tmp_path / "out.mp4")
    assert frames(streams) == 24 and all(stream["codec_type"] == "video" for stream in streams)


def test_render_fast(server, player, stage, tmp_path):
    before = balance(server)
    made, seen = render(server, character_id=player, scene_id=stage, fast="true")
    assert made["mode"] == "fast" and made["credits_reserved"] == 2 and seen["credits_used"] == 2 and balance(server) == before - 2
    assert frames(download(server, seen["cdn_url"], tmp_path / "out.mp4")) == 24


def test_render_transparent(server, character_png, stage, tmp_path):
    """A picture in a prepared scene: two videos of as many frames."""
    made, seen = render(server, ref_image=character_png, scene_id=stage, background_mode="transparent")
    assert made["mode"] == "full_pipeline" and seen["status"] == "complete"
    video, mask = (download(server, seen[key], tmp_path / f"{key}.mp4") for key in ("cdn_url", "mask_cdn_url"))
    assert frames(video) == frames(mask) == 24


def raw(path, tmp_path):
    ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", "gray", tmp_path / "raw")
    return (tmp_path / "raw").read_bytes()


def changed(path, clip, tmp_path):
    """How many pixels differ between two videos, in the left and in the right half."""
    ours, theirs = raw(path, tmp_path), raw(clip, tmp_path)
    counts = [0, 0]
    for at in range(0, min(len(ours), len(theirs)), 7):
        counts[(at % 320) // 160] += abs(ours[at] - theirs[at]) > 40
    return counts


def test_render_several_characters(server, player, stage, clip, tmp_path):
    """Who is mapped is replaced; who is not keeps the look."""
    segments = [segment["uuid"] for segment in server.get(f"/api/scenes/{stage}").json()["segments"]]
    counts = {}
    for name, chosen in {"first": segments[:1], "second": segments[1:], "both": segments}.items():
        made, seen = render(server, scene_id=stage, character_mapping=json.dumps({segment: player for segment in chosen}))
        assert made["mode"] == "multi_character" and made["credits_reserved"] == 1 and seen["status"] == "complete"
        download(server, seen["cdn_url"], tmp_path / f"{name}.mp4")
        counts[name] = changed(tmp_path / f"{name}.mp4", clip, tmp_path)
    left, right = sorted((counts["first"], counts["second"]), key=lambda c: c[1] - c[0])
    assert left[0] > 3 * left[1] and right[1] > 3 * right[0], counts
    assert counts["both"][0] > 0.7 * left[0] and counts["both"][1] > 0.7 * right[1], counts


def test_render_that_fails(server, clip, tmp_path):
    """A picture without anybody: the job says why, and nothing is charged."""
    before = balance(server)
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=400x400", "-frames:v", "1", tmp_path / "nobody.png")
    _, seen = render(server, ref_image=tmp_path / "nobody.png", driving_video=clip)
    assert_shape(seen, RENDER, status="failed", error_code="CS-UORC01-009", cdn_url=None, download_url=None, credits_used=0)
    assert text(seen["error"]) and text(seen["error_message"]) and time(seen["completed_at"])
    assert balance(server) == before
    server.assert_ledger_sums()


def test_render_cancelled(idle, character_png, clip):
    before = balance(idle)
    with open(character_png, "rb") as picture, open(clip, "rb") as video:
        made = good(idle.post("/api/render", files={"ref_image": picture, "driving_video": video}), RENDER_ACCEPTED)
    path = f"/api/render/{made['job_id']}"
    good(idle.get(path), RENDER, status="queued", progress_pct=0, checkpoint=None, progress=None, credits_used=None)
    assert balance(idle) == before - 1
    other = idle.new_key("--account=other", "--credits=10")
    refused(idle.delete(path, key=other), 404, "CS-UORC01-002")
    refused(idle.delete(path, key=False), 401, "CS-ORAU-001")
    good(idle.delete(path), RENDER, status="cancelled", error=None, error_code=None, cdn_url=None, credits_used=0)
    refused(idle.delete(path), 409, "CS-UORC01-002", "cancelled")
    assert balance(idle) == before
    idle.assert_ledger_sums()


def test_credits(server):
    seen = good(server.get("/api/credits"), CREDITS)
    assert seen["balance"] == seen["credits"] == round(seen["total_purchased"] - seen["total_used"] - seen["reserved"], 2)


def test_bodies_of_all_kinds(idle, clip, character_png):
    """Multipart, urlencoded and JSON say the same; unknown fields are passed over."""
    for options in ({"data": {"character_id": "x", "scene_id": "y", "surplus": "1"}}, {"json": {"character_id": "x", "scene_id": "y", "surplus": [1]}},
                    {"files": {"character_id": (None, "x"), "scene_id": (None, "y"), "surplus": (None, "1")}}):
        refused(idle.post("/api/render", **options), 400, "CS-ORIV-008", "character x")


def test_dry_run(idle, character_png, clip):
    """Says what it would cost, after all checks; makes nothing."""
    before = [idle.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in ("jobs", "characters", "scenes", "ledger", "holds")]
    with open(character_png, "rb") as picture, open(clip, "rb") as video:
        seen = idle.post("/api/render", data={"dry_run": "true", "fast": "true"}, files={"ref_image": picture, "driving_video": video})
        assert seen.status_code == 200 and seen.json() == {"dry_run": True, "valid": True, "credits": 2, "mode": "fast"}
        picture.seek(0), video.seek(0)
        assert idle.post("/api/characters/preprocess", data={"dry_run": "true", "name": "A"}, files={"image": picture}).json()["credits"] == 1
        assert idle.post("/api/scenes/preprocess", data={"dry_run": "true", "name": "A"}, files={"video": video}).json()["credits"] == 0
        refused(idle.post("/api/scenes/preprocess", data={"dry_run": "true", "name": "A"}, files={"video": ("v.mp4", b"x" * 100)}), 400, "CS-ORIV-003")
    assert before == [idle.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in ("jobs", "characters", "scenes", "ledger", "holds")]


# --- what is refused ---


def test_keys(idle):
    """Everything but the status of a render needs one."""
    for method, path in (("POST", "/api/render"), ("DELETE", "/api/render/job_1"), ("POST", "/api/characters/preprocess"), ("GET", "/api/characters"),
                         ("GET", "/api/characters/x"), ("DELETE", "/api/characters/x"), ("PATCH", "/api/characters/x"), ("POST", "/api/scenes/preprocess"),
                         ("POST", "/api/scenes/import"), ("GET", "/api/scenes"), ("GET", "/api/scenes/x"), ("DELETE", "/api/scenes/x"), ("GET", "/api/credits")):
        refused(idle.call(method, path, key=False), 401, "CS-ORAU-001", "key")
        refused(idle.call(method, path, key="sk-wrong"), 401, "CS-ORAU-002", "key")
    reader = idle.new_key("--scopes=read")
    refused(idle.post("/api/render", key=reader, data={"scene_id": "x"}), 403, "CS-ORAU-002", "write")
    assert idle.get("/api/credits", key=reader).status_code == 200


def test_paths_and_methods(idle):
    refused(idle.get("/api/nothing"), 404, "CS-UORC01-002")
    refused(idle.get("/api/render/job_nothing", key=False), 404, "CS-UORC01-002")
    answer = idle.call("PUT", "/api/scenes")
    refused(answer, 405, "CS-UORC01-002", "PUT")
    assert "GET" in answer.headers["Allow"]
    refused(idle.post("/api/scenes/import", data=b"<x/>", headers={"Content-Type": "text/xml"}), 415, "CS-UORC01-002")
    for path in ("/api/scenes?limit=0", "/api/scenes?limit=101", "/api/characters?offset=-1", "/api/characters?limit=many"):
        refused(idle.get(path), 400, "CS-UORC01-002", "limit" if "limit" in path else "offset")


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory, character_png, clip):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "text.png").write_text("no picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes(character_png.read_bytes()[:500])
    (folder / "big.png").write_bytes(character_png.read_bytes() + bytes(21_000_000))
    (folder / "text.mp4").write_text("no video")
    (folder / "cut.mp4").write_bytes(clip.read_bytes()[:1000])
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=64x64:r=1:d=310", folder / "long.mp4")
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=4200x64:r=10:d=1", folder / "wide.mp4")
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=32x32:r=10:d=1", folder / "small.mp4")
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=64x64:r=10:d=0.2", folder / "short.mp4")
    return folder


@pytest.mark.parametrize("name, code, word", [("text.png", "CS-UORC01-002", "PNG"), ("empty.png", "CS-UORC01-002", "empty"), ("cut.png", "CS-UORC01-002", "ref_image"),
                                              ("big.png", "CS-UORC01-002", "20 MB")])
def test_bad_pictures(idle, bad_files, clip, name, code, word):
    before = balance(idle)
    with open(bad_files / name, "rb") as picture, open(clip, "rb") as video:
        refused(idle.post("/api/render", files={"ref_image": picture, "driving_video": video}), 400, code, word)
    with open(bad_files / name, "rb") as picture:
        refused(idle.post("/api/characters/preprocess", data={"name": "x"}, files={"image": picture}), 400, code, word.replace("ref_image", "image"))
    assert balance(idle) == before


@pytest.mark.parametrize("name, code, word", [("text.mp4", "CS-ORIV-003", "MP4"), ("cut.mp4", "CS-ORIV-007", "driving_video"), ("long.mp4", "CS-ORIV-004", "5 minutes"),
                                              ("wide.mp4", "CS-ORIV-006", "4096"), ("small.mp4", "CS-UORC01-002", "64"), ("short.mp4", "CS-UORC01-002", "0.5")])
def test_bad_videos(idle, bad_files, character_png, name, code, word):
    before = balance(idle)
    with open(character_png, "rb") as picture, open(bad_files / name, "rb") as video:
        refused(idle.post("/api/render", files={"ref_image": picture, "driving_video": video}), 400, code, word)
    with open(bad_files / name, "rb") as video:
        refused(idle.post("/api/scenes/preprocess", data={"name": "x"}, files={"video": video}), 400, code, word.replace("driving_video", "video"))
    assert balance(idle) == before


def test_video_too_big(idle, character_png, tmp_path):
    """500 MB and one byte, which the body's own limit still lets through."""
    with open(tmp_path / "big.mp4", "wb") as file:
        file.write(b"\0\0\0\x18ftypisom")
        file.truncate(500_000_001)
    with open(tmp_path / "big.mp4", "rb") as video:
        refused(idle.post("/api/scenes/preprocess", data=Multipart({"name": "x"}, video), headers={"Content-Type": Multipart.TYPE}), 400, "CS-ORIV-005", "500 MB")


class Multipart:
    """A body that is read from disk as it is sent."""

    TYPE = "multipart/form-data; boundary=border"

    def __init__(self, fields, video):
        head = "".join(f'--border\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
        head += '--border\r\nContent-Disposition: form-data; name="video"; filename="v.mp4"\r\nContent-Type: video/mp4\r\n\r\n'
        self.parts, self.video = [head.encode(), b"\r\n--border--\r\n"], video

    def __iter__(self):
        yield self.parts[0]
        while block := self.video.read(1 << 20):
            yield block
        yield self.parts[1]


def test_render_fields(server, player, stage, character_png):
    """Wrong combinations and values; nothing of them costs anything."""
    before = balance(server)
    segment = server.get(f"/api/scenes/{stage}").json()["segments"][0]["uuid"]
    both = {"character_id": player, "scene_id": stage}
    cases = [
        ({}, "CS-ORIV-001", "ref_image"),
        ({"scene_id": stage}, "CS-ORIV-001", "ref_image"),
        ({"character_id": player}, "CS-ORIV-002", "driving_video"),
        ({"character_id": "no-such", "scene_id": stage}, "CS-ORIV-008", "no-such"),
        ({"character_id": player, "scene_id": "no-such"}, "CS-ORIV-009", "no-such"),
        ({**both, "background_mode": "beach"}, "CS-ORIV-011", "beach"),
        ({"scene_id": stage, "character_mapping": "{"}, "CS-ORIV-012", "JSON"),
        ({"scene_id": stage, "character_mapping": "[]"}, "CS-UORC01-002", "object"),
        ({"scene_id": stage, "character_mapping": '{"person_ffffffff": "x"}'}, "CS-UORC01-002", "person_ffffffff"),
        ({"scene_id": stage, "character_mapping": json.dumps({segment: "no-such"})}, "CS-ORIV-008", "no-such"),
        ({**both, "character_mapping": json.dumps({segment: player})}, "CS-UORC01-002", "only one"),
        ({**both, "model": "V3_Preview"}, "CS-UORC01-002", "V4_Preview"),
        ({**both, "model": "V9"}, "CS-UORC01-002", "V9"),
        ({**both, "bg_color": "0,255,0"}, "CS-UORC01-002", "bg_color"),
        ({**both, "background_mode": "solid", "bg_color": "0,256,0"}, "CS-UORC01-002", "bg_color"),
        ({**both, "fast": "perhaps"}, "CS-UORC01-002", "fast"),
        ({**both, "webhook_url": "file:///etc/passwd"}, "CS-UORC01-002", "webhook_url"),
        ({"ref_image_url": "ftp://example.com/a.png", "scene_id": stage}, "CS-UORC01-002", "ref_image_url"),
    ]
    for fields, code, word in cases:
        refused(server.post("/api/render", data=fields), 400, code, word)
    stranger = server.new_key("--account=stranger", "--credits=10")
    refused(server.post("/api/render", data=both, key=stranger), 400, "CS-ORIV-008", player)
    refused(server.get(f"/api/characters/{player}", key=stranger), 404, "CS-ORIV-008")
    refused(server.delete(f"/api/scenes/{stage}", key=stranger), 404, "CS-ORIV-009")
    poor = server.new_key("--account=poor")
    with open(character_png, "rb") as picture:
        refused(server.post("/api/characters/preprocess", data={"name": "x"}, files={"image": picture}, key=poor), 402, "CS-ORCR-001", "credits")
    assert balance(server) == before


def test_assets_not_ready(idle, character_png, clip):
    with open(character_png, "rb") as picture:
        character = idle.post("/api/characters/preprocess", data={"name": "x"}, files={"image": picture}).json()["character_id"]
    with open(clip, "rb") as video:
        scene = idle.post("/api/scenes/preprocess", data={"name": "x"}, files={"video": video}).json()["scene_id"]
        video.seek(0)
        refused(idle.post("/api/render", data={"character_id": character}, files={"driving_video": video}), 400, "CS-UORC01-002", "ready")
    with open(character_png, "rb") as picture:
        refused(idle.post("/api/render", data={"scene_id": scene}, files={"ref_image": picture}), 400, "CS-ORIV-010", "ready")
    before = balance(idle)
    good(idle.delete(f"/api/characters/{character}"), {"success": truth})
    assert balance(idle) == before + 1, "deleting it before it was made gives the credit back"
    good(idle.delete(f"/api/scenes/{scene}"), {"success": truth})
    assert not idle.rows("SELECT * FROM holds WHERE owner IN (?, ?)", character, scene)


def test_character_and_scene_fields(idle, character_png):
    with open(character_png, "rb") as picture:
        for name in (None, "", "   ", "x" * 101, "a\nb"):
            picture.seek(0)
            refused(idle.post("/api/characters/preprocess", data={"name": name} if name is not None else {}, files={"image": picture}), 400, "CS-UORC01-002", "name")
    refused(idle.post("/api/characters/preprocess", data={"name": "x"}), 400, "CS-ORIV-001", "image")
    refused(idle.post("/api/scenes/preprocess", data={"name": "x"}), 400, "CS-ORIV-002", "video")
    refused(idle.post("/api/scenes/preprocess", data={"video_url": "http://example.com/a.mp4"}), 400, "CS-UORC01-002", "name")
    refused(idle.post("/api/scenes/preprocess", data={"name": "x", "model": "V9"}), 400, "CS-UORC01-002", "model")
    refused(idle.post("/api/scenes/preprocess", data={"name": "x", "background_mode": "sea"}), 400, "CS-ORIV-011", "sea")
    refused(idle.post("/api/scenes/import", json={}), 400, "CS-UORC01-002", "template_id")
    refused(idle.post("/api/scenes/import", json={"template_id": "no-such"}), 400, "CS-UORC01-002", "no-such")
    refused(idle.post("/api/scenes/import", data="{", headers={"Content-Type": "application/json"}), 400, "CS-UORC01-002", "JSON")


def test_switched_off_and_full(tmp_path, character_png, clip):
    """Fast mode off; more unfinished jobs or requests than an account may have."""
    with Server(tmp_path / "data", workers=0, fast="false", jobs_unfinished=1, requests_minute=12) as server:
        refused(server.post("/api/render", data={"fast": "true", "character_id": "x", "scene_id": "y"}), 400, "CS-UORC01-001", "fast")
        with open(character_png, "rb") as picture:
            good(server.post("/api/characters/preprocess", data={"name": "x"}, files={"image": picture}), CHARACTER_ACCEPTED)
            picture.seek(0)
            refused(server.post("/api/characters/preprocess", data={"name": "x"}, files={"image": picture}), 429, "CS-UORC01-002", "jobs")
        assert balance(server) == server.get("/api/credits").json()["total_purchased"] - 1
        for _ in range(20):
            answer = server.get("/api/credits")
            if answer.status_code != 200:
                break
        refused(answer, 429, "CS-UORC01-002")
        assert int(answer.headers["Retry-After"]) > 0
        assert server.get("/api/render/job_1", key=True).status_code == 404, "polling is not counted"
