"""The OpenAPI description: it validates, it names every route, and no generated request, good or bad, is answered outside it."""
import json
import subprocess
from urllib.parse import quote

import jsonschema
import pytest
import requests
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import GOLDEN, make_toy
from serving import Server

DESCRIPTION = json.loads((ROOT / "web/openapi.json").read_text())
METHODS = ("get", "post", "patch", "put", "delete")
OPERATIONS = [(path, method) for path, item in DESCRIPTION["paths"].items() for method in METHODS if method in item]
EXAMPLES = 20  # of each operation
FEW = 8  # of those whose requests bring pictures and videos
FEW_PATHS = ("/api/v1/characters/create", "/api/v1/characters/{character_id}/train", "/api/characters", "/api/templates/{template_id}/generate", "/api/generations")


def test_the_description_validates():
    done = subprocess.run(["node", ROOT / "tests/server/validate-openapi.mjs"], input=json.dumps(DESCRIPTION), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    names = [DESCRIPTION["paths"][path][method]["operationId"] for path, method in OPERATIONS]
    assert len(set(names)) == len(names)
    for schema in DESCRIPTION["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def resolve(thing):
    while "$ref" in thing:
        at = DESCRIPTION
        for step in thing["$ref"].split("/")[1:]:
            at = at[step]
        thing = at
    return thing


def assert_documented(path, method, answer):
    operation = DESCRIPTION["paths"][path][method]
    told = f"{method.upper()} {answer.request.url} -> {answer.status_code} {answer.text[:500]!r}"
    assert answer.status_code < 500, told
    assert str(answer.status_code) in operation["responses"], told
    assert answer.headers.get("X-Request-Id"), told
    documented = resolve(operation["responses"][str(answer.status_code)])
    content = documented.get("content")
    if not content:
        return
    kind = answer.headers["Content-Type"].split(";")[0]
    assert kind in content or "*/*" in content, told
    if kind == "application/json" and kind in content:
        schema = {**content[kind]["schema"], "components": DESCRIPTION["components"]}
        problems = list(jsonschema.Draft202012Validator(schema).iter_errors(answer.json()))
        assert not problems, told + "".join(f"\n{list(p.absolute_path)}: {p.message}" for p in problems)


# --- requests ---

JUNK = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=40)
WRONG = st.one_of(JUNK, st.sampled_from(["null", "{}", "[]", "-1", "1e999", "true", "0,0,0", "256,0,0", '{"person_00000000": "x"}', "../../etc/passwd", "%00", "ftp://example.com/x", "http://[::1]/"]))


def right(path, name, schema, world):
    """Values that a careful client would send in this field."""
    for known in ((path, name), name):
        if known in world["known"]:
            return st.sampled_from(world["known"][known])
    if "enum" in schema:
        return st.sampled_from([value for value in schema["enum"] if value is not None])
    if schema.get("type") == "boolean":
        return st.sampled_from(["true", "false"])
    if schema.get("type") == "integer":
        return st.integers(schema.get("minimum", 0), schema.get("maximum", 50)).map(str)
    return st.sampled_from(["Ada", "Dance of the ß"])


def field(path, name, schema, world, careful):
    schema = resolve(schema)
    return right(path, name, schema, world) if careful else st.one_of(right(path, name, schema, world), WRONG)


@st.composite
def requests_of(draw, path, method, world):
    operation = DESCRIPTION["paths"][path][method]
    careful = draw(st.booleans())
    target, query, headers = path, {}, {}
    for parameter in map(resolve, operation.get("parameters", [])):
        name = parameter["name"]
        if parameter["in"] == "path":
            value = draw(field(path, name, parameter["schema"], world, careful).filter(lambda text: text not in ("", ".", "..")))
            target = target.replace("{" + name + "}", quote(value, safe=""))
        elif parameter["in"] == "query" and draw(st.booleans()):
            query[name] = draw(field(path, name, parameter["schema"], world, careful))
        elif name == "Range" and draw(st.booleans()):
            headers["Range"] = draw(st.sampled_from(["bytes=0-3", "bytes=-5", "bytes=999999999-", "bytes=x", "lines=1-2"]))
    if path.startswith("/files/") and careful:
        target, query = draw(st.sampled_from(world["links"])), {}
    if path.startswith("/uploads/") and careful:
        target, query = world["place"], {}
    key = "good" if careful else draw(st.sampled_from(["good", "good", "good", "none", "wrong"]))
    if key != "none":
        keys = {"good": [world["key"]], "wrong": ["sk-wrong"]}
        if "Prism" in operation["tags"]:
            keys = {"good": [world["key"], world["prism"]], "wrong": ["sk-wrong", "prism_sk_wrong"]}
        headers["Authorization"] = "Bearer " + draw(st.sampled_from(keys[key]))
    if method == "post" and draw(st.integers(0, 9)) == 0:
        headers["Idempotency-Key"] = draw(st.text("abcdefgh", min_size=1, max_size=2))
    options = {"params": query, "headers": headers}
    if "requestBody" in operation:
        options.update(draw(bodies(path, operation["requestBody"]["content"], world, careful)))
    return target, options


# What makes a request of these paths complete.
ENOUGH = {
    "/api/render": [("ref_image", "driving_video"), ("character_id", "scene_id"), ("ref_image", "scene_id"), ("scene_id", "character_mapping"), ("ref_image_url", "driving_video_url")],
    "/api/characters/preprocess": [("name", "image"), ("name", "image_url")],
    "/api/characters/{character_id}": [("name",), ("description",)],
    "/api/scenes/preprocess": [("name", "video"), ("name", "video_url")],
    "/api/scenes/import": [("template_id",), ("template_uuid", "name")],
    "/v1/characters": [("image",), ("image_url", "name")],
    "/v1/motions": [("motion_video",), ("motion_video_url",)],
    "/v1/motions/import": [("template_id",)],
    "/v1/renders": [("image", "motion_video"), ("character_id", "motion_id")],
    "/v1/videos": [("character_image", "driving_video")],
    "/api/v1/characters/create": [("image_urls",), ("image_urls", "name", "trigger_word", "class")],
    "/api/v1/characters/{character_id}": [("name",), ("description",)],
    "/api/v1/characters/{character_id}/train": [("image_urls",), ("image_urls", "seed", "steps")],
    "/api/v1/characters/{character_id}/generate": [("prompt",), ("prompt", "aspect_ratio", "num_outputs", "seed")],
    "/api/v1/generate": [("model", "prompt"), ("model", "input"), ("model", "prompt", "options")],
    "/api/v1/upload": [("contentType",), ("contentType", "sizeBytes")],
    "/api/characters": [("name", "images"), ("name", "description", "images[]", "images")],
    "/api/templates/{template_id}/generate": [("variables",), ("variables", "character_variables"), ("character", "variables", "seed")],
    "/api/generations": [("prompt", "modelName", "characterReferenceImageKeys", "sourceVideoKey"), ("prompt", "modelName", "characterId", "referenceVideoKeys", "hasAudio"), ("prompt", "modelName", "duration")],
    "/api/s3/presign-upload": [("kind", "contentType"), ("kind", "contentType", "fileName")],
}


@st.composite
def bodies(draw, path, contents, world, careful):
    kind = draw(st.sampled_from(list(contents) if careful else [*contents, *contents, "text/plain", "nothing"]))
    if kind == "nothing":
        return {}
    if kind == "text/plain":
        return {"data": b"hello", "extra": {"Content-Type": draw(st.sampled_from(["text/plain", "application/xml", "multipart/form-data", "application/json"]))}}
    if "properties" not in resolve(contents[kind]["schema"]):
        return {"data": draw(st.sampled_from([world["picture"][1], *(data for _, data in world["files"])])), "extra": {"Content-Type": kind.replace("*", "png" if careful else "jpeg")}}
    properties = resolve(contents[kind]["schema"])["properties"]
    wanted = [name for name in draw(st.sampled_from(ENOUGH[path])) if name in properties]
    if careful:
        wanted += [name for name in ("dry_run", "fast", "audio", "webhook_url", "description") if name in properties and draw(st.booleans())]
    else:
        wanted += [name for name in properties if draw(st.integers(0, 4)) == 0]
    fields, files = {}, {}
    for name in dict.fromkeys(wanted):
        if "contentMediaType" in properties[name].get("items", properties[name]):
            good = world["video" if "video" in name else "picture"]
            files[name] = good if careful else draw(st.sampled_from([good, *world["files"]]))
        else:
            fields[name] = draw(field(path, name, properties[name], world, careful))
    if kind == "application/json":
        return {"json": {name: value if careful else draw(st.sampled_from([value, value, value, 7, None, [value], True])) for name, value in fields.items()}}
    if kind == "multipart/form-data":
        fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
        return {"data": fields, "files": files or {"unknown": ("a", b"x")}}
    return {"data": fields} if fields else {"data": "a=b", "extra": {"Content-Type": kind}}


def send(world, target, method, options):
    extra = options.pop("extra", {})
    options["headers"] = {**options["headers"], **extra}
    options["headers"] = {name: value.encode() for name, value in options["headers"].items()}
    return requests.request(method.upper(), world["url"] + target, timeout=120, allow_redirects=False, stream=target.endswith("/events"), **options)


def path_of(link):
    return link.split("/", 3)[3].join(["/", ""])


@pytest.fixture(scope="module")
def world(tmp_path_factory, character_png, material, scene):
    """A server with things to ask it about: made by its workers, which then rest, so that nothing changes by itself."""
    home = tmp_path_factory.mktemp("home")
    if GOLDEN.is_dir():
        make_toy(home / "troupe/models/toy")
    server = Server(tmp_path_factory.mktemp("openapi") / "data", environment={"XDG_DATA_HOME": str(home)}, log="false", jobs_unfinished=1000000)
    picture, video = character_png.read_bytes(), (material / "performance.mp4").read_bytes()
    with server:
        template = server.run("template", "add", scene, "--name", "Dance").stdout.strip()
        scenes = [server.post("/api/scenes/import", json={"template_id": template}).json() for _ in range(6)]
        character = server.post("/api/characters/preprocess", files={"image": picture}, data={"name": "A"}).json()
        character = server.wait(f"/api/characters/{character['id']}")
        job = server.post("/api/render", data={"character_id": character["id"], "scene_id": scenes[0]["id"], "background_mode": "transparent"}).json()
        done = server.wait(f"/api/render/{job['job_id']}")
        server.options.update(workers=0, listen=server.url.split("//")[1])
    with server:
        pending = [server.post("/api/characters/preprocess", files={"image": picture}, data={"name": "P"}).json() for _ in range(5)]
        queued = [server.post("/api/render", data={"character_id": character["id"], "scene_id": scenes[0]["id"]}).json()["job_id"] for _ in range(5)]
        jobs = [job["job_id"], *queued, pending[0]["job_id"]]
        models = [model["id"] for model in server.get("/api/v1/models").json()["data"]["models"]]
        tasks = [server.post("/api/v1/generate", json={"model": model, "prompt": "a fox"}).json()["data"]["id"] for model in models[:1]]
        ids = [character["id"]] * 5 + [row["id"] for row in pending]
        motions = [row["id"] for row in scenes]
        mapping = json.dumps({scenes[0]["segments"][0]["uuid"]: character["id"]})
        image, film = character["thumbnail_url"], done["cdn_url"]
        known = {"character_id": ids, "scene_id": motions, "motion_id": motions, "job_id": jobs, "render_id": jobs, "template_id": [template], "template_uuid": [template],
                 "character_mapping": [mapping], "bg_color": ["0,255,0"], "file": ["docs.css", "docs.js"], "webhook_url": [f"{server.url}/healthz"],
                 **{f"{name}_url": [image] for name in ("ref_image", "image", "character_image")}, **{f"{name}_url": [film] for name in ("driving_video", "video", "motion_video")}}
        known.update({"task_id": [job["job_id"], queued[0], *tasks], "image_urls": [[image] * (10 if models else 9)], "trigger_word": ["adaz"], "contentType": ["image/png"],
                      ("/api/v1/generate", "model"): models or ["none"], ("/api/v1/generate", "input"): [{"prompt": "a fox"}, {"prompt": "a fox", "aspect_ratio": "3:2"}],
                      ("/api/v1/generate", "options"): [{"aspectRatio": "2:3"}, {}], **{(path, "model"): models or ["none"] for path in FEW_PATHS}})
        prism = server.new_key("--dialect=prism")
        places = [server.post("/api/s3/presign-upload", json={"kind": "upload", "contentType": kind}).json() for kind in ("image/png", "image/png", "video/mp4")]
        for place, data in zip(places[1:], (picture, video)):
            assert requests.put(place["upload_url"], data=data, headers={"Content-Type": place["content_type"]}).status_code == 200
        use = "/api/templates/{template_id}/generate"
        known.update({"generation_id": jobs, "q": ["ada", "dance"], "category": ["general"], "images": [[image]], "modelName": ["V4_Preview", *models], "characterId": [character["id"]],
                      (use, "template_id"): [template], (use, "variables"): [{"character": image}, {"character": image, "background": "solid"}], "character_variables": [{"character": character["id"]}],
                      "characterReferenceImageKeys": [[places[1]["s3_key"]]], "sourceVideoKey": [places[2]["s3_key"]], "referenceVideoKeys": [[places[2]["s3_key"]]]})
        files = [("a.png", b""), ("a.png", b"no picture"), ("v.mp4", video[:2000])]
        yield {"server": server, "url": server.url, "key": server.key, "known": known, "files": files, "picture": ("a.png", picture), "video": ("v.mp4", video), "prism": prism, "place": path_of(places[0]["upload_url"]),
               "links": [path_of(link) for link in (image, film, done["mask_cdn_url"])]}


@pytest.mark.parametrize("path,method", OPERATIONS, ids=[f"{method} {path}" for path, method in OPERATIONS])
def test_no_answer_is_outside_the_description(world, path, method):
    @settings(max_examples=FEW if path in FEW_PATHS else EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(requests_of(path, method, world))
    def check(request):
        target, options = request
        answer = send(world, target, method, dict(options))
        if target.endswith("/events"):
            assert answer.status_code in (200, 401, 403, 404), answer.status_code
            answer.close()
            return
        assert_documented(path, method, answer)

    check()


def test_nothing_was_charged_for_what_was_refused(world):
    world["server"].assert_ledger_sums()
