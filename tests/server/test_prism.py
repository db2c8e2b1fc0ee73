"""Prism's API: what every answer looks like in every state, every refusal with its code and its place in the order of checks,
and that nothing is charged for one."""
import base64
import json
import socket
import sqlite3
import time as clock

import pytest
import requests
from conftest import ffmpeg, make_material, troupe
from models import GOLDEN, make_toy
from serving import Server
from shapes import assert_shape, integer, link, list_of, matching, null, nullable, number, one_of, shape, text, time, truth, uuid

CHARACTER = {"id": uuid, "name": text, "description": nullable(text), "created_at": integer}
PAGINATION = {"offset": integer, "limit": integer, "has_more": truth}
TEMPLATE = {"id": uuid, "title": text, "description": nullable(text), "category": text, "duration_sec": nullable(number), "input_variables": list_of(lambda v: True),
            "prompt_template": nullable(text), "kind": one_of("image", "video"), "model_name": text}
VARIABLE = {"key": text, "label": text, "type": one_of("text", "image"), "required": truth}
LATENCY = nullable(shape(typical=number, busy=number))
GENERATION_ID = matching("gen_[0-9a-f]{24}")
STARTED = {"generations": list_of(shape(generation_id=GENERATION_ID, status=one_of("generating"))), "template_id": text, "credits_charged": number, "latency_estimate_sec": LATENCY}
STARTED_DIRECTLY = {**STARTED, "generations": list_of(shape(generation_id=GENERATION_ID, id=GENERATION_ID, status=one_of("generating"))), "template_id": null}
STATES = {
    "generating": {"video_url": null, "share_url": null, "created_at": time, "completed_at": null, "error": null},
    "completed": {"video_url": link, "share_url": null, "created_at": time, "completed_at": time, "error": null},
    "failed": {"video_url": null, "share_url": null, "created_at": time, "completed_at": null, "error": text},
}
ASSET = {"id": text, "asset_id": matching("asset_.+"), "asset_s3_key": matching("generations/[^/]+/[^/]+"), "asset_url": nullable(link), "asset_type": one_of("image", "video"), "prompt": text,
         "model_name": nullable(text), "published_at": nullable(integer), "created_at": nullable(integer), "metadata": nullable(lambda v: isinstance(v, dict)), "source": one_of("community", "history")}
UPLOAD = {"s3_key": matching("users/[^/]+/user-uploads/[^/]+/file[.][a-z0-9]+"), "upload_url": link, "content_type": text, "max_bytes": integer}

PROMPT = {"title": "On the beach", "description": "Somebody at the sea", "category": "portrait", "prompt": "a {{ framing }} of {{who}}, {{extra}}, at the beach", "aspect": "1:1", "variables": [
    {"key": "who", "label": "Who", "type": "text", "required": True, "min_length": 2, "max_length": 12, "placeholder": "a sailor"},
    {"key": "framing", "label": "Framing", "type": "text", "default_value": "portrait"},
    {"key": "extra", "label": "More", "type": "text"}]}
CAST = {"title": "Cast", "prompt": "{{character}} in {{place}}", "variables": [
    {"key": "character", "label": "Character", "type": "image", "slot": "character", "required": True}, {"key": "place", "label": "Place", "type": "text", "required": True}]}


class Prism:
    """Calls with a key of this API."""

    def __init__(self, server, *options):
        self.server, self.key = server, server.new_key("--dialect=prism", *options)

    def __call__(self, method, path, **options):
        return self.server.call(method, f"/api/{path}", key=self.key, **options)

    def get(self, path, **options):
        return self("GET", path, **options)

    def post(self, path, **options):
        return self("POST", path, **options)

    def poll(self, identity, patience=240):
        limit = clock.monotonic() + patience
        while (seen := generation(self.get(f"generations/{identity}")))["status"] == "generating":
            assert clock.monotonic() < limit, self.server.log_text()[-3000:]
            clock.sleep(0.1)
        return seen

    def upload(self, data, kind="image/png"):
        place = good(self.post("s3/presign-upload", json={"kind": "upload", "contentType": kind}), UPLOAD)
        assert requests.put(place["upload_url"], data=data, headers={"Content-Type": kind}).status_code == 200
        return place["s3_key"]

    def used(self):
        return self.server.get("/api/credits").json()["total_used"]


def good(answer, keys, status=200, **exactly):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json" and answer.headers["X-Request-Id"]
    assert_shape(answer.json(), keys, **exactly)
    return answer.json()


def refused(answer, status, code, *words):
    assert answer.status_code == status, answer.text
    assert_shape(answer.json(), {"error": text, "message": text}, error=code)
    for word in words:
        assert word.lower() in answer.json()["message"].lower(), answer.text


def invalid(answer, *words):
    refused(answer, 400, "validation_error", *words)


def generation(answer, images=None):
    body = answer.json()
    assert answer.status_code == 200, answer.text
    keys = {"id": text, "status": one_of(*STATES), "template_id": nullable(text), **STATES[body["status"]]}
    if "image_urls" in body:
        done = body["status"] == "completed"
        keys.update(video_url=null, image_urls=list_of(link) if done else null)
    assert_shape(body, keys)
    assert list(body)[:8] == ["id", "status", "template_id", "video_url", "share_url", "created_at", "completed_at", "error"]
    return body


def created(prism, photo_urls, name="Ada", **fields):
    return good(prism.post("characters", json={"name": name, "images": photo_urls, **fields}), {"data": shape(**CHARACTER)}, 201)["data"]


def add(server, folder, template, name="template"):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(template))
    return server.run("template", "add", path).stdout.strip()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    if GOLDEN.is_dir():
        make_toy(folder / "troupe/models/toy")
    return {"XDG_DATA_HOME": str(folder)}


@pytest.fixture(scope="module")
def studio(tmp_path_factory, home):
    with Server(tmp_path_factory.mktemp("studio") / "data", environment=home) as running:
        yield running


@pytest.fixture(scope="module")
def idle(tmp_path_factory, home):
    """No workers: what is queued stays so."""
    with Server(tmp_path_factory.mktemp("idle") / "data", environment=home, workers=0) as running:
        yield running


@pytest.fixture(scope="module")
def prism(studio):
    return Prism(studio)


@pytest.fixture(scope="module")
def resting(idle):
    return Prism(idle)


@pytest.fixture(scope="module")
def templates(idle, scene, tmp_path_factory):
    """Of the server that rests: a scene, a prompt, a prompt with a character."""
    folder = tmp_path_factory.mktemp("templates")
    return {"scene": idle.run("template", "add", scene, "--name", "Dance", "--description", "In a room", "--category", "dance").stdout.strip(),
            "prompt": add(idle, folder, PROMPT), "cast": add(idle, folder, CAST)}


@pytest.fixture(scope="module")
def toy(home):
    if not GOLDEN.is_dir():
        pytest.skip("../shared is absent")


# --- keys, paths, bodies: before anything is read ---

PATHS = [("POST", "characters"), ("GET", "characters"), ("GET", "templates"), ("GET", "templates/x"), ("POST", "templates/x/generate"), ("POST", "generations"),
         ("GET", "generations/x"), ("POST", "s3/presign-upload"), ("GET", "assets/search?q=ab")]


@pytest.mark.parametrize("method,path", PATHS)
def test_keys_and_scopes(idle, method, path):
    body = {"data": "{", "headers": {"Content-Type": "application/json"}} if method == "POST" else {}
    shared = path == "characters" and method == "GET"  # without a key it is Viggle's
    if not shared:
        refused(idle.call(method, f"/api/{path}", key=False, **body), 401, "unauthorized", "Invalid or missing API key")
    refused(idle.call(method, f"/api/{path}", key="prism_sk_unknown", **body), 401, "unauthorized", "Invalid or missing API key")
    revoked = idle.new_key("--dialect=prism")
    idle.run("key", "revoke", revoked)
    refused(idle.call(method, f"/api/{path}", key=revoked, **body), 401, "unauthorized")
    refused(idle.call(method, f"/api/{path}", key=idle.new_key("--dialect=prism", "--scopes=read write"), **body), 403, "forbidden", "templates:read")
    answer = idle.call(method, f"/api/{path}", key=idle.new_key("--dialect=prism", "--scopes=templates:read"), **body)
    if method == "POST":
        invalid(answer, "JSON")  # the body comes after key and scope
    else:
        assert answer.status_code in (200, 404), answer.text


def test_the_shared_path(idle, resting, photos):
    assert set(idle.get("/api/characters").json()) == {"characters", "total"}
    assert set(resting.get("characters").json()) == {"data", "pagination"}
    assert "detail" in idle.call("GET", "/api/characters", key=False).json()
    assert "detail" in idle.call("GET", "/api/characters", key="sk-x").json()


def test_misses(idle, resting):
    for path in ("templates/x/y", "templates/x/generate/z", "generations/x/y", "s3/other", "assets", "assets/x"):
        refused(resting.get(path), 404, "not_found")
        refused(idle.call("GET", f"/api/{path}", key=False), 404, "not_found")
    for method, path in (("DELETE", "templates"), ("PUT", "templates/x"), ("GET", "templates/x/generate"), ("DELETE", "generations/x"), ("GET", "s3/presign-upload"), ("POST", "assets/search")):
        answer = resting(method, path)
        refused(answer, 405, "method_not_allowed")
        assert "OPTIONS" in answer.headers["Allow"]
    refused(resting("DELETE", "characters"), 405, "method_not_allowed")
    refused(resting.get("templates/none"), 404, "not_found", "Template not found")
    refused(resting.get("generations/gen_none"), 404, "not_found")


def test_bodies(resting):
    for path in ("characters", "templates/x/generate", "generations", "s3/presign-upload"):
        refused(resting.post(path, data="a=b", headers={"Content-Type": "text/plain"}), 415, "validation_error")
        invalid(resting.post(path, data="[]", headers={"Content-Type": "application/json"}), "object")
        invalid(resting.post(path, data=b'{"a": "\xff"}', headers={"Content-Type": "application/json"}), "JSON")
    refused(resting.post("characters", data=b"{" + b" " * 1000001, headers={"Content-Type": "application/json"}), 413, "validation_error")
    refused(resting.post("templates/x/generate", data=b"{" + b" " * 16000001, headers={"Content-Type": "application/json"}), 413, "validation_error")


# --- characters ---


def test_create_character(resting, photos):
    before = resting.used()
    made = created(resting, photos.urls(2), " Product Spokesperson ", description="Warm")
    assert made["name"] == "Product Spokesperson" and made["description"] == "Warm" and abs(made["created_at"] / 1000 - clock.time()) < 30
    assert created(resting, photos.urls(1), description="")["description"] is None
    assert created(resting, photos.urls(1))["description"] is None
    assert len(created(resting, photos.urls(10), "ß" * 60, description="ä" * 300)["name"]) == 60
    files = [("images[]", ("front.png", (photos.folder / "00.png").read_bytes())), ("images[]", ("side.png", (photos.folder / "01.png").read_bytes()))]
    parts = resting.post("characters", data={"name": "Parts", "description": "Two"}, files=files)
    made = good(parts, {"data": shape(**CHARACTER)}, 201)["data"]
    row = resting.server.rows("SELECT pictures, status FROM characters WHERE id = ?", made["id"])[0]
    assert len(json.loads(row["pictures"])) == 2 and row["status"] == "pending"
    good(resting.post("characters", data={"name": "Parts"}, files=[("images", ("front.png", (photos.folder / "00.png").read_bytes()))]), {"data": shape(**CHARACTER)}, 201)
    assert resting.used() == before
    resting.server.assert_ledger_sums()


def test_refused_characters(resting, photos):
    count = len(resting.server.rows("SELECT id FROM characters"))

    def post(**fields):
        return resting.post("characters", json={"name": "Ada", "images": photos.urls(1), **fields})

    for name in ("", "   ", "ß" * 61, None, 7, ["a"], "a\nb"):
        invalid(post(name=name), "name")
    invalid(resting.post("characters", json={"images": photos.urls(1)}), "name")
    invalid(post(description="ä" * 301), "description")
    invalid(post(description=7), "description")
    for images in ([], None, "x", {}, [7], [None], photos.urls(11)):
        invalid(post(images=images), "images")
    data = "data:image/png;base64," + base64.b64encode((photos.folder / "00.png").read_bytes()).decode()
    invalid(post(images=[*photos.urls(1), data]), "images[1]", "data URI")
    invalid(post(images=["users/x/user-uploads/y/file.png"]), "images[0]", "key")
    for url in ("ftp://127.0.0.1/a.png", "file:///etc/passwd", "http://", f"{photos.url}/none.png", f"{photos.url}/page", f"{photos.url}/text.png", "http://10.0.0.1/a.png"):
        invalid(post(images=[*photos.urls(1), url]), "images[1]")
    invalid(resting.post("characters", data={"name": "Ada"}, files=[("images", ("a.png", b"no picture"))]), "images[0]")
    invalid(resting.post("characters", data={"name": "Ada"}, files=[("images[]", ("a.png", (photos.folder / "00.png").read_bytes()))] * 11), "images")
    invalid(resting.post("characters", files={"name": (None, "Ada"), "images": (None, "users/x/file.png")}), "images[0]")
    boundary = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n\xff\xfe\r\n--x--\r\n'
    invalid(resting.post("characters", data=boundary, headers={"Content-Type": "multipart/form-data; boundary=x"}), "UTF-8")
    assert len(resting.server.rows("SELECT id FROM characters")) == count
    assert good(post(dry_run=True), {"dry_run": truth, "valid": truth, "credits": number})["credits"] == 0
    assert len(resting.server.rows("SELECT id FROM characters")) == count


def test_characters_are_listed(tmp_path, photos, home):
    with Server(tmp_path / "data", environment=home, workers=0) as server:
        prism, other = Prism(server, "--account=one", "--credits=5"), Prism(server, "--account=two")
        made = [created(prism, photos.urls(1), f"Number {i} ÄÖ") for i in range(3)]
        created(other, photos.urls(1), "Foreign number")
        listed = good(prism.get("characters"), {"data": list_of(shape(**CHARACTER)), "pagination": shape(**PAGINATION)}, pagination={"offset": 0, "limit": 24, "has_more": False})
        assert [row["id"] for row in listed["data"]] == [row["id"] for row in reversed(made)]
        page = prism.get("characters?limit=2&offset=0").json()
        assert len(page["data"]) == 2 and page["pagination"] == {"offset": 0, "limit": 2, "has_more": True}
        page = prism.get("characters?limit=2&offset=2").json()
        assert len(page["data"]) == 1 and page["pagination"]["has_more"] is False
        assert prism.get("characters?limit=1000").json()["pagination"]["limit"] == 60
        assert prism.get("characters?limit=0&offset=-5").json()["pagination"] == {"offset": 0, "limit": 1, "has_more": True}
        assert len(prism.get("characters?q=NUMBER 1").json()["data"]) == 1 and prism.get("characters?q=number").json()["data"]
        assert prism.get("characters?q=no%25ber").json()["data"] == []
        for q in ("", "a", "ß"):
            invalid(prism.get("characters", params={"q": q}), "q")
        invalid(prism.get("characters?limit=x"), "limit")
        invalid(prism.get("characters?q=%ff%ff"), "query")


# --- templates ---


def test_templates_are_listed(resting, templates):
    listed = good(resting.get("templates"), {"data": list_of(shape(**TEMPLATE)), "pagination": shape(**PAGINATION)}, pagination={"offset": 0, "limit": 50, "has_more": False})
    assert {row["id"] for row in listed["data"]} == set(templates.values())
    assert [row["title"] for row in resting.get("templates?category=dance").json()["data"]] == ["Dance"]
    assert [row["title"] for row in resting.get("templates?q=THE SEA").json()["data"]] == ["On the beach"]
    assert [row["title"] for row in resting.get("templates?q=dan").json()["data"]] == ["Dance"]
    assert resting.get("templates?limit=1000").json()["pagination"]["limit"] == 100
    assert resting.get("templates?limit=1&offset=1").json()["pagination"] == {"offset": 1, "limit": 1, "has_more": True}
    invalid(resting.get("templates?q=a"), "q")


def test_templates_say_what_they_want(resting, templates):
    for row in resting.get("templates").json()["data"]:
        assert good(resting.get(f"templates/{row['id']}"), {"data": shape(**TEMPLATE)})["data"] == row
        for variable in row["input_variables"]:
            extra = {name: check for name, check in {"placeholder": text, "description": text, "default_value": text, "min_length": integer, "max_length": integer, "slot": text}.items() if name in variable}
            assert_shape(variable, {**VARIABLE, **extra})
    scene = resting.get(f"templates/{templates['scene']}").json()["data"]
    assert (scene["kind"], scene["model_name"], scene["category"], scene["description"], scene["prompt_template"]) == ("video", "V4_Preview", "dance", "In a room", None)
    assert scene["duration_sec"] == pytest.approx(3, abs=0.2) and [v["key"] for v in scene["input_variables"]] == ["character", "background"]
    assert scene["input_variables"][0]["slot"].startswith("person_") and scene["input_variables"][0]["required"]
    prompt = resting.get(f"templates/{templates['prompt']}").json()["data"]
    assert (prompt["kind"], prompt["duration_sec"], prompt["prompt_template"]) == ("image", None, PROMPT["prompt"])
    assert prompt["input_variables"][0] == PROMPT["variables"][0] and prompt["input_variables"][1] == {**PROMPT["variables"][1], "required": False}


@pytest.mark.parametrize("change,word", [
    ({"prompt": None}, "prompt"), ({"prompt": "{{nobody}}"}, "nobody"), ({"colour": "x"}, "colour"), ({"aspect": "5:4"}, "aspect"), ({"variables": {}}, "variables"), ({"title": ""}, "title"),
    ({"variables": PROMPT["variables"] * 2}, "two variables"), ({"variables": [{"key": "who", "label": "Who", "type": "video"}]}, "type"),
    ({"variables": [{"key": "wh o", "label": "Who", "type": "text"}]}, "key"), ({"variables": [{"key": "who", "label": "Who", "type": "text", "min_length": 5, "max_length": 4}]}, "min_length"),
    ({"variables": [{"key": "who", "label": "Who", "type": "image"}]}, "slot")])
def test_broken_files_are_not_published(idle, tmp_path, change, word):
    broken = {name: value for name, value in {**PROMPT, **change}.items() if value is not None}
    (tmp_path / "t.json").write_text(json.dumps(broken))
    done = idle.run("template", "add", tmp_path / "t.json", check=False)
    assert done.returncode == 1 and word in done.stderr, done.stderr


def test_the_program_brings_templates(tmp_path, home):
    with Server(tmp_path / "data", environment=home, workers=0, templates=None) as server:
        prism = Prism(server)
        limit = clock.monotonic() + 240
        while len(found := prism.get("templates").json()["data"]) < 3:
            assert clock.monotonic() < limit and server.process.poll() is None
            clock.sleep(0.2)
        assert {(row["title"], row["kind"]) for row in found} == {("Dance", "video"), ("On location", "image"), ("Someone new", "image")}
        server.run("template", "remove", found[0]["id"])
        server.stop()
        server.start()
        clock.sleep(1)
        assert len(prism.get("templates").json()["data"]) == 2  # what was removed stays so


# --- generating from templates: what is refused, in its order ---


def generate(prism, template, **body):
    return prism.post(f"templates/{template}/generate", json=body)


def test_the_order_of_checks(idle, resting, templates, photos, tmp_path):
    poor = Prism(idle, "--account=poor")
    bad = {"variables": {"nobody": "x"}, "webhook_url": 7}
    invalid(generate(resting, "none", **bad), "webhook_url")  # body
    invalid(generate(resting, "none", variables=[]), "variables")
    invalid(generate(resting, "none"), "variables")
    refused(generate(resting, "none", variables={"nobody": "x"}), 404, "not_found", "Template not found")  # template
    broken = add(idle, tmp_path, {**PROMPT, "model": "nosuch"})
    refused(generate(resting, broken, variables={"nobody": "x"}), 422, "invalid_template", "nosuch")  # sane
    idle.run("template", "remove", broken)
    invalid(generate(poor, templates["scene"], variables={"nobody": "x"}), "nobody", "character, background")  # variables
    refused(poor.post("generations", json={"prompt": "x", "modelName": "V4_Preview", "duration": "5s"}), 400, "pricing_error")  # price
    refused(generate(poor, templates["scene"], variables={"character": f"{photos.url}/none"}), 402, "insufficient_credits")  # credits, before anything is fetched


def test_variables(resting, templates, photos, toy):
    prompt, before = templates["prompt"], resting.used()
    invalid(generate(resting, prompt, variables={"who": "x"}), "who", "2 to 12")
    invalid(generate(resting, prompt, variables={"who": "ß" * 13}), "who", "13")
    invalid(generate(resting, prompt, variables={"framing": "x"}), "who", "required")
    invalid(generate(resting, prompt, variables={"who": ""}), "who", "required")
    invalid(generate(resting, prompt, variables={"who": "ada", "nobody": "x"}), "nobody")
    invalid(generate(resting, prompt, variables={"who": 7}), "who")
    invalid(generate(resting, prompt, variables={"who": "ada"}, character_variables={"who": "x"}), "who", "character")
    invalid(generate(resting, prompt, variables={"who": "ada"}, character_variables={"nobody": "x"}), "nobody")
    invalid(generate(resting, prompt, variables={"who": "ada"}, character_variables=[]), "character_variables")
    invalid(generate(resting, prompt, variables={"who": "ada"}, webhook_url="nonsense"), "webhook_url")
    assert resting.used() == before and resting.server.get("/api/credits").json()["reserved"] == 0

    def drawn_prompt(**variables):
        made = good(generate(resting, prompt, variables=variables), STARTED, template_id=prompt, credits_charged=15, latency_estimate_sec=None)
        row = resting.server.rows("SELECT spec, template, id FROM jobs WHERE id = ?", made["generations"][0]["generation_id"])[0]
        assert row["template"] == prompt
        seen = generation(resting.get(f"generations/{row['id']}"))
        assert (seen["status"], seen["template_id"], seen["image_urls"]) == ("generating", prompt, None)
        return json.loads(row["spec"])["prompt"]

    assert drawn_prompt(who="ßß") == "a portrait of ßß, at the beach"
    assert drawn_prompt(who="{{extra}}", framing="photo", extra="in the rain") == "a photo of {{extra}}, in the rain, at the beach"
    assert drawn_prompt(who="x" * 12, extra="") == f"a portrait of {'x' * 12}, at the beach"
    for job in resting.server.rows("SELECT id FROM jobs WHERE kind = 'generation' AND status = 'queued'"):
        assert job["id"].startswith("gen_")


def test_characters_as_variables(idle, resting, templates, photos, toy):
    mine, foreign = created(resting, photos.urls(1)), created(Prism(idle, "--account=foreign"), photos.urls(1))
    cast, scene = templates["cast"], templates["scene"]
    invalid(generate(resting, cast, variables={"place": "x"}, character_variables={"character": mine["id"]}), "trained")
    invalid(generate(resting, cast, variables={"place": "x"}, character_variables={"character": foreign["id"]}), "character")
    invalid(generate(resting, cast, variables={"place": "x"}, character_variables={"character": "none"}), "character")
    invalid(generate(resting, cast, variables={"place": "x"}, character_variables={"character": 7}), "character")
    invalid(generate(resting, cast, variables={"place": "x"}, character_variables={"place": mine["id"]}), "place")
    invalid(generate(resting, scene, variables={}, character_variables={"character": foreign["id"]}), "character")
    invalid(generate(resting, scene, variables={"background": "pink"}, character_variables={"character": mine["id"]}), "background")
    invalid(generate(resting, scene, variables={}), "character", "required")
    # one that is still being made may play
    made = good(generate(resting, scene, variables={}, character_variables={"character": mine["id"]}), STARTED, credits_charged=3)
    generation(resting.get(f"generations/{made['generations'][0]['generation_id']}"))
    refused(generate(Prism(idle, "--account=poor"), scene, variables={"character": photos.urls(1)[0]}), 402, "insufficient_credits")
    refused(Prism(idle, "--account=poor").get(f"generations/{made['generations'][0]['generation_id']}"), 404, "not_found")
    dry = good(generate(resting, scene, variables={}, character_variables={"character": mine["id"]}, dry_run=True), {"dry_run": truth, "valid": truth, "credits": number})
    assert dry["credits"] == 3


def test_media_values(resting, templates, photos):
    scene, picture = templates["scene"], (photos.folder / "00.png").read_bytes()
    data = "data:image/png;base64," + base64.b64encode(picture).decode()
    for value in (photos.urls(1)[0], data, resting.upload(picture)):
        good(generate(resting, scene, variables={"character": value}), STARTED, credits_charged=3)
    for part in ("character", "variables[character]"):
        answer = resting.post(f"templates/{scene}/generate", files={part: ("a.png", picture)}, data={"variables[background]": "solid"})
        made = good(answer, STARTED)["generations"][0]["generation_id"]
        assert json.loads(resting.server.rows("SELECT spec FROM jobs WHERE id = ?", made)[0]["spec"])["background"] == "solid"
    good(resting.post(f"templates/{scene}/generate", files={"unused": ("", b"")}, data={"variables": json.dumps({"character": photos.urls(1)[0]})}), STARTED)
    count = len(resting.server.rows("SELECT id FROM jobs"))
    for value in ("users/none/user-uploads/x/file.png", "generations/x/y.mp4", "data:image/png;base64,!!!", "data:nonsense", "data:image/png;base64,aGVsbG8=", f"{photos.url}/page", f"{photos.url}/none", "http://10.0.0.1/x.png", "nonsense"):
        invalid(generate(resting, scene, variables={"character": value}), "character")
    invalid(resting.post(f"templates/{scene}/generate", files={"character": ("a.png", b"no picture")}), "character")
    invalid(resting.post(f"templates/{scene}/generate", files={"character": ("a.png", picture), "nobody": ("a.png", picture)}), "nobody")
    invalid(resting.post(f"templates/{scene}/generate", files={"background": ("a.png", picture), "character": ("a.png", picture)}), "background", "text")
    invalid(resting.post(f"templates/{scene}/generate", files={"character": ("a.png", picture)}, data={"variables": "{"}), "variables")
    place = resting.post("s3/presign-upload", json={"kind": "upload", "contentType": "image/png"}).json()
    invalid(generate(resting, scene, variables={"character": place["s3_key"]}), "character", "yet")
    assert len(resting.server.rows("SELECT id FROM jobs")) == count
    resting.server.assert_ledger_sums()


# --- uploads ---


def test_uploads(idle, resting, photos, material):
    picture = (photos.folder / "00.png").read_bytes()
    for kind, most in (("image/png", 20971520), ("image/jpeg", 20971520), ("image/webp", 20971520), ("video/mp4", 500000000), ("video/quicktime", 500000000), ("video/webm", 500000000), ("audio/mpeg", 20000000), ("audio/wav", 20000000)):
        good(resting.post("s3/presign-upload", json={"kind": "upload", "contentType": kind, "fileName": "x"}), UPLOAD, content_type=kind, max_bytes=most)
    for body in ({}, {"kind": "upload"}, {"kind": "other", "contentType": "image/png"}, {"kind": "upload", "contentType": "text/html"}, {"kind": "upload", "contentType": 7}, {"kind": "upload", "contentType": "image/png", "fileName": []}):
        invalid(resting.post("s3/presign-upload", json=body))
    place = resting.post("s3/presign-upload", json={"kind": "upload", "contentType": "image/png"}).json()
    url, headers = place["upload_url"], {"Content-Type": "image/png"}
    base = url.split("?")[0]
    assert requests.get(base).status_code == 404

    def put(address=url, body=picture, **other):
        return requests.put(address, data=body, headers={**headers, **other})

    assert put().status_code == 200 and put(**{"Content-Type": "image/jpeg"}).status_code == 415
    assert put(base).status_code == 403 and put(url[:-1] + ("0" if url[-1] != "0" else "1")).status_code == 403
    assert put(url.replace("expires=", "expires=1")).status_code == put(url.replace("expires=", "expires=-")).status_code == 403
    assert put(url.replace(place["s3_key"], place["s3_key"].replace("file.png", "file.jpg"))).status_code == 403
    assert put(body=b"").status_code == 400 and put(body=b"no picture").status_code == 400
    large = put(body=b"\x89PNG" + bytes(20971520))
    assert large.status_code == 413 and large.json()["error"]["code"] == "too_large"
    shown = requests.get(base)
    assert shown.content == picture and shown.headers["Content-Type"] == "image/png"
    other = (photos.folder / "01.png").read_bytes()
    assert put(body=other).status_code == 200 and requests.get(base).content == other
    film = (material / "performance.mp4").read_bytes()
    assert resting.upload(film, "video/mp4").endswith(".mp4")
    foreign = Prism(idle, "--account=foreign", "--credits=100")
    invalid(foreign.post("generations", json={"prompt": "x", "modelName": "V4_Preview", "characterReferenceImageKeys": [place["s3_key"]], "sourceVideoKey": place["s3_key"]}), "key")


# --- direct generations ---


@pytest.fixture(scope="module")
def keys(resting, photos, material):
    return {"picture": resting.upload((photos.folder / "00.png").read_bytes()), "video": resting.upload((material / "performance.mp4").read_bytes(), "video/mp4")}


def test_direct_renders(resting, keys, templates):
    body = {"prompt": "somebody dances", "modelName": "V4_Preview", "characterReferenceImageKeys": [keys["picture"]], "sourceVideoKey": keys["video"]}

    def post(**change):
        return resting.post("generations", json={name: value for name, value in {**body, **change}.items() if value is not None})

    made = good(post(), STARTED_DIRECTLY)
    assert len(made["generations"]) == 1 and made["credits_charged"] == 3
    assert len(good(post(count=2, sourceVideoKey=None, referenceVideoKeys=[keys["video"]], templateId=templates["scene"], hasAudio=False), STARTED_DIRECTLY, credits_charged=6)["generations"]) == 2
    count = len(resting.server.rows("SELECT id FROM jobs"))
    assert good(post(count=4, dry_run=True), {"dry_run": truth, "valid": truth, "credits": number})["credits"] == 12
    for change in ({"prompt": None}, {"prompt": ""}, {"prompt": 7}, {"prompt": "x" * 5001}, {"modelName": None}, {"modelName": "veo-3.1"}, {"modelName": 7}, {"count": 0}, {"count": 5}, {"count": "2"}, {"count": 1.5},
                   {"aspectRatio": "5:4"}, {"hasAudio": "yes"}, {"characterReferenceImageKeys": []}, {"characterReferenceImageKeys": "x"}, {"characterReferenceImageKeys": [7]}, {"characterReferenceImageKeys": ["none"]},
                   {"characterReferenceImageKeys": [keys["picture"]] * 2}, {"characterReferenceImageKeys": [keys["video"]]}, {"sourceVideoKey": None}, {"sourceVideoKey": keys["picture"]}, {"sourceVideoKey": "none"},
                   {"referenceVideoKeys": [keys["video"]]}, {"seed": -1}, {"webhook_url": "ftp://x"}):
        invalid(post(**change))
    refused(post(templateId="none"), 404, "not_found", "Template not found")
    for change in ({"duration": "5s"}, {"resolution": "720p"}, {"aspectRatio": "16:9"}, {"startFrameKey": keys["picture"]}, {"endFrameKey": keys["picture"]}, {"audioKey": "x"}):
        refused(post(**change), 400, "pricing_error")
    assert len(resting.server.rows("SELECT id FROM jobs")) == count


def test_one_of_several_cannot_be_paid(idle, photos, material):
    prism = Prism(idle, "--account=short", "--credits=7")
    keys = {"picture": prism.upload((photos.folder / "00.png").read_bytes()), "video": prism.upload((material / "performance.mp4").read_bytes(), "video/mp4")}
    body = {"prompt": "x", "modelName": "V4_Preview", "characterReferenceImageKeys": [keys["picture"]], "sourceVideoKey": keys["video"]}
    refused(prism.post("generations", json={**body, "count": 3}), 402, "insufficient_credits")
    assert {row["status"] for row in idle.rows("SELECT status FROM jobs WHERE account = (SELECT id FROM accounts WHERE name = 'short')")} <= {"cancelled"}
    idle.assert_ledger_sums()
    good(prism.post("generations", json={**body, "count": 2}), STARTED_DIRECTLY)


def test_direct_pictures(resting, keys, toy):
    body = {"prompt": "a fox", "modelName": "toy", "aspectRatio": "16:9", "count": 3, "seed": 5}
    made = good(resting.post("generations", json=body), STARTED_DIRECTLY, credits_charged=45)
    specs = [json.loads(resting.server.rows("SELECT spec FROM jobs WHERE id = ?", item["id"])[0]["spec"]) for item in made["generations"]]
    assert [spec["seed"] for spec in specs] == [5, 6, 7] and {spec["aspect"] for spec in specs} == {"16:9"} and {spec["count"] for spec in specs} == {1}
    good(resting.post("generations", json={"prompt": "a fox", "modelName": "toy", "aspectRatio": "auto", "ingredientImageKeys": [keys["picture"]]}), STARTED_DIRECTLY)
    for change in ({"sourceVideoKey": keys["video"]}, {"hasAudio": True}, {"duration": "5s"}, {"resolution": "1080p"}):
        refused(resting.post("generations", json={**body, **change}), 400, "pricing_error")
    refused(Prism(resting.server, "--account=poor").post("generations", json=body), 402, "insufficient_credits")


# --- from beginning to end ---


def test_a_character_is_made_and_dances(prism, studio, scene, photos, tmp_path, character_png):
    """As the documentation has it: create, generate at once, poll; then search, publish, use again."""
    template = studio.run("template", "add", scene, "--name", "Dance of the fox").stdout.strip()
    hook = f"{photos.url}/prism-hook"
    files = [("images[]", ("a.png", character_png.read_bytes())), ("images[]", ("b.png", (photos.folder / "01.png").read_bytes()))]
    ada = good(prism.post("characters", data={"name": "Ada"}, files=files), {"data": shape(**CHARACTER)}, 201)["data"]
    made = good(generate(prism, template, variables={"background": "original"}, character_variables={"character": ada["id"]}, webhook_url=hook), STARTED)
    identity = made["generations"][0]["generation_id"]
    done = prism.poll(identity)
    assert done["status"] == "completed" and done["template_id"] == template
    film = requests.get(done["video_url"])
    assert film.status_code == 200 and film.headers["Content-Type"] == "video/mp4"
    expires = int(done["video_url"].split("expires=")[1].split("&")[0])
    assert abs(expires - clock.time() - 3600) < 60
    # the rig that the character got in the meantime was used
    spec = json.loads(studio.rows("SELECT spec FROM jobs WHERE id = ?", identity)[0]["spec"])
    folder = studio.get(f"/api/characters/{ada['id']}").json()
    assert spec["character"] == ada["id"] and "folder" not in spec and folder["status"] == "ready"
    _, headers, body = photos.wait_posted("/prism-hook")[0]
    told = json.loads(body)
    assert {key: told[key] for key in done if key != "video_url"} == {key: value for key, value in done.items() if key != "video_url"}
    assert told["generation_id"] == identity and set(told) == {*done, "generation_id"} and headers["webhook-id"]
    # found again, in both lists once it is published
    found = good(prism.get("assets/search?q=FOX"), {"data": list_of(shape(**ASSET)), "pagination": shape(**PAGINATION)}, pagination={"offset": 0, "limit": 24, "has_more": False})["data"]
    assert [(row["id"], row["source"], row["asset_type"], row["published_at"]) for row in found] == [(identity, "history", "video", None)]
    other = Prism(studio, "--account=other", "--credits=50")
    assert other.get("assets/search?q=fox").json()["data"] == []
    assert studio.call("PUT", f"/api/jobs/{identity}/published").status_code == 200
    seen = other.get("assets/search?q=fox&source=community").json()["data"]
    assert [(row["id"], row["source"], row["created_at"]) for row in seen] == [(f"post_{identity}", "community", None)] and seen[0]["published_at"]
    assert [row["source"] for row in other.get("assets/search?q=fox").json()["data"]] == ["community"]
    assert other.get("assets/search?q=fox&source=history").json()["data"] == [] and other.get("assets/search?q=fox&type=image").json()["data"] == []
    published = prism.get(f"generations/{identity}").json()
    page = requests.get(published["share_url"])
    assert page.status_code == 200 and page.content == film.content
    # its key is a driving video for whoever finds it
    key = other.upload(character_png.read_bytes())
    again = good(other.post("generations", json={"prompt": "again", "modelName": "V4_Preview", "characterReferenceImageKeys": [key], "sourceVideoKey": seen[0]["asset_s3_key"]}), STARTED_DIRECTLY)
    assert other.poll(again["generations"][0]["id"])["status"] == "completed"
    assert studio.call("DELETE", f"/api/jobs/{identity}/published").status_code == 200
    assert requests.get(published["share_url"]).status_code == 404 and other.get("assets/search?q=fox").json()["data"] == []
    studio.assert_ledger_sums()


def test_latency_is_known_once_there_is_a_history(prism, studio, scene, photos):
    template = studio.run("template", "add", scene, "--name", "Quick").stdout.strip()
    while len(studio.rows("SELECT id FROM jobs WHERE kind = 'render' AND status = 'complete'")) < 3:
        made = good(generate(prism, template, variables={"character": f"{photos.url}/large.png"}), STARTED)
        assert prism.poll(made["generations"][0]["generation_id"])["status"] == "completed"
    started = good(generate(prism, template, variables={"character": f"{photos.url}/large.png"}), STARTED)
    latency = started["latency_estimate_sec"]
    assert latency["busy"] >= latency["typical"] > 0
    identity = started["generations"][0]["generation_id"]
    assert studio.delete(f"/api/render/{identity}").status_code == 200
    assert generation(prism.get(f"generations/{identity}"))["error"] == "Generation cancelled"


def test_a_failed_generation_is_refunded(prism, studio, scene, tmp_path):
    template = studio.run("template", "add", scene, "--name", "Nobody").stdout.strip()
    ffmpeg("-f", "lavfi", "-i", "color=white:s=128x128", "-frames:v", "1", tmp_path / "blank.png")
    before = prism.used()
    answer = prism.post(f"templates/{template}/generate", files={"character": ("a.png", (tmp_path / "blank.png").read_bytes())})
    ended = prism.poll(good(answer, STARTED)["generations"][0]["generation_id"])
    assert ended["status"] == "failed" and ended["error"] and prism.used() == before
    studio.assert_ledger_sums()


def test_pictures_are_drawn(prism, studio, toy, tmp_path):
    template = add(studio, tmp_path, PROMPT)
    made = good(generate(prism, template, variables={"who": "a lighthouse"}, seed=3), STARTED, credits_charged=15)
    done = prism.poll(made["generations"][0]["generation_id"])
    assert done["status"] == "completed" and len(done["image_urls"]) == 1
    assert requests.get(done["image_urls"][0]).content.startswith(b"\x89PNG")
    found = prism.get("assets/search?q=lighthouse&type=image").json()["data"]
    assert [(row["id"], row["asset_type"], row["model_name"]) for row in found] == [(done["id"], "image", "toy")]
    again = good(prism.post("generations", json={"prompt": "x", "modelName": "toy", "ingredientImageKeys": [found[0]["asset_s3_key"]]}), STARTED_DIRECTLY)
    prism.poll(again["generations"][0]["id"])


def test_two_people(studio, prism, tmp_path, character_png, photos):
    folder = make_material(tmp_path / "two", "--seconds", "2", "--width", "480", "--height", "360", "--two")
    troupe("scene", folder / "performance.mp4", "-o", tmp_path / "scene", "--quiet")
    template = studio.run("template", "add", tmp_path / "scene", "--name", "Two").stdout.strip()
    wants = prism.get(f"templates/{template}").json()["data"]["input_variables"]
    if len(wants) < 3:
        pytest.skip("only one person was found")
    assert [v["key"] for v in wants[:2]] == ["character_1", "character_2"] and [v["required"] for v in wants[:2]] == [True, False]
    picture = photos.urls(1)[0]
    invalid(generate(prism, template, variables={"character_1": picture, "character_2": picture}), "character_1", "several people", "POST /api/characters")
    good(generate(prism, template, variables={"character_1": picture}, dry_run=True), {"dry_run": truth, "valid": truth, "credits": number})
    ada = created(prism, [f"{photos.url}/large.png"])
    studio.wait(f"/api/characters/{ada['id']}")
    made = good(generate(prism, template, variables={}, character_variables={"character_1": ada["id"], "character_2": ada["id"]}), STARTED)
    assert prism.poll(made["generations"][0]["generation_id"])["status"] == "completed"


# --- extensions ---


def test_idempotency(resting, templates, photos):
    options = {"json": {"variables": {"character": photos.urls(1)[0]}}, "headers": {"Idempotency-Key": "prism-1"}}
    first = resting.post(f"templates/{templates['scene']}/generate", **options)
    again = resting.post(f"templates/{templates['scene']}/generate", **options)
    assert first.json() == again.json() and again.headers["Idempotency-Replayed"] == "true"
    refused(resting.post("generations", json={}, headers={"Idempotency-Key": "prism-1"}), 409, "conflict")


def test_one_of_several_jobs_after_a_kill(idle, resting, keys):
    """Repeated under its name, a request for several gives those that were made."""
    options = {"json": {"prompt": "x", "modelName": "V4_Preview", "characterReferenceImageKeys": [keys["picture"]], "sourceVideoKey": keys["video"], "count": 3}, "headers": {"Idempotency-Key": "several"}}
    first = good(resting.post("generations", **options), STARTED_DIRECTLY, credits_charged=9)
    with sqlite3.connect(f"{idle.data}/troupe.db", timeout=30) as database:  # as if the server had died before it could answer
        database.execute("UPDATE idempotency SET status = NULL, body = NULL, owner = 'nobody' WHERE name = 'several'")
    again = good(resting.post("generations", **options), STARTED_DIRECTLY, credits_charged=9)
    assert len({row["id"] for row in again["generations"]}) == 3 and again["generations"] == first["generations"]
    idle.assert_ledger_sums()


def test_webhook_receivers(idle, resting, templates, photos):
    """Down, slow, redirecting, private: each is told of in the list of deliveries, none holds up another, none is followed elsewhere."""
    with socket.socket() as slow:
        slow.bind(("127.0.0.1", 0))
        slow.listen()
        receivers = {"down": "http://127.0.0.1:1/hook", "slow": f"http://127.0.0.1:{slow.getsockname()[1]}/hook", "redirecting": f"{idle.url}/share/none", "private": "http://10.0.0.1/hook", "good": f"{photos.url}/receivers"}
        started = {}
        for name, url in receivers.items():
            made = good(generate(resting, templates["scene"], variables={"character": photos.urls(1)[0]}, webhook_url=url), STARTED)
            started[name] = made["generations"][0]["generation_id"]
            assert idle.delete(f"/api/render/{started[name]}").status_code == 200
        (_, headers, body), = photos.wait_posted("/receivers", patience=60)
        told = json.loads(body)
        assert_shape(told, {"id": text, "status": one_of("failed"), "template_id": text, **STATES["failed"], "generation_id": text}, id=started["good"], generation_id=started["good"], error="Generation cancelled")

        def delivery(name):
            return idle.get(f"/api/jobs/{started[name]}/deliveries").json()["deliveries"][0]

        limit = clock.monotonic() + 60
        while not all(delivery(name)["error"] for name in ("down", "slow", "redirecting", "private")):
            assert clock.monotonic() < limit, [delivery(name) for name in started]
            clock.sleep(0.2)
        assert delivery("good")["status"] == "delivered"
        for name in ("down", "slow", "redirecting", "private"):
            assert delivery(name)["status"] == "pending" and delivery(name)["next_attempt_at"]


def test_published_characters(idle, resting, photos):
    other = Prism(idle, "--account=reader", "--credits=50")
    star = created(resting, photos.urls(1), "Star of the show")
    assert other.get("characters?q=star of").json()["data"] == []
    assert idle.call("PUT", f"/api/characters/{star['id']}/published").json() == {"id": star["id"], "published": True}
    assert other.get("characters?q=star of").json()["data"] == [star] == resting.get("characters?q=star of").json()["data"]
    assert idle.call("DELETE", f"/api/characters/{star['id']}/published", key=other.key).status_code == 404
    assert idle.call("DELETE", f"/api/characters/{star['id']}/published").json()["published"] is False
    assert other.get("characters?q=star of").json()["data"] == []


def test_searches_are_checked(resting):
    invalid(resting.get("assets/search"), "q")
    invalid(resting.get("assets/search?q=a"), "q")
    invalid(resting.get("assets/search?q=ab&type=sound"), "type")
    invalid(resting.get("assets/search?q=ab&source=mine"), "source")
    assert resting.get("assets/search?q=ab&limit=99").json()["pagination"] == {"offset": 0, "limit": 60, "has_more": False}
