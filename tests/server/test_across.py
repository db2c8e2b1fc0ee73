"""One character in every dialect: created in Prism's words, trained and drawn in VicSee's, rendered in Viggle's, deleted once and
gone everywhere."""
import time as clock

import requests
from models import make_toy
from serving import Server


def until(look, good, patience=240):
    limit = clock.monotonic() + patience
    while not good(seen := look()):
        assert clock.monotonic() < limit, seen
        clock.sleep(0.1)
    return seen


def test_one_character_through_every_dialect(photos, character_png, scene, tmp_path):
    make_toy(tmp_path / "home/troupe/models/toy")
    with Server(tmp_path / "data", environment={"XDG_DATA_HOME": str(tmp_path / "home")}) as server:
        prism = server.new_key("--dialect=prism")
        images = [f"{photos.url}/large.png", *photos.urls(9)]
        made = server.post("/api/characters", json={"name": "Ada", "images": images}, key=prism)
        assert made.status_code == 201, made.text
        identity = made.json()["data"]["id"]

        def vicsee(path="", method="GET", **options):
            answer = server.call(method, f"/api/v1/characters/{identity}{path}", **options)
            assert answer.status_code == 200, answer.text
            return answer.json()["data"]

        seen = vicsee()
        assert (seen["status"], seen["image_count"], seen["name"]) == ("untrained", 10, "Ada")
        assert vicsee("/train", "POST", json={"trigger_word": "adaz"})["credits_used"] == 500
        seen = until(vicsee, lambda row: row["status"] != "training" and row["rig_status"] in ("ready", "failed"))
        assert (seen["status"], seen["rig_status"], seen["trigger_word"]) == ("ready", "ready", "adaz")
        assert len(seen["inspection"]) == 10 and 0 <= seen["chosen_image"] < 10  # the choice of the rig's picture is visible
        drawn = vicsee("/generate", "POST", json={"prompt": "on a stage", "num_outputs": 2})
        assert all(requests.get(image["url"]).content.startswith(b"\x89PNG") for image in drawn["output"]["images"])

        template = server.run("template", "add", scene, "--name", "Dance").stdout.strip()
        stage = server.post("/api/scenes/import", json={"template_id": template}).json()["id"]
        job = server.post("/api/render", data={"character_id": identity, "scene_id": stage}).json()["job_id"]
        rendered = server.wait(f"/api/render/{job}", key=False)
        assert rendered["status"] == "complete", rendered
        task = server.get(f"/api/v1/tasks/{job}").json()["data"]
        assert (task["status"], task["mediaType"], task["result"]["type"]) == ("completed", "video", "video")
        history = server.get("/api/v1/tasks").json()["data"]["tasks"]
        assert {job, drawn["id"]} == {row["id"] for row in history}

        assert server.get("/api/credits").json()["balance"] == 10000 - 500 - 30 - rendered["credits_used"]
        server.assert_ledger_sums()
        vicsee(method="DELETE")
        assert server.get(f"/api/characters/{identity}").status_code == 404
        assert server.get(f"/api/v1/characters/{identity}").status_code == 404
        assert server.get(f"/v1/characters/char_{identity}").status_code == 404
        assert identity not in server.get("/api/characters", key=prism).text
        assert server.post(f"/api/v1/characters/{identity}/generate", json={"prompt": "x"}).status_code == 404
        assert server.post("/api/render", data={"character_id": identity, "scene_id": stage}).status_code == 400
        # what was made of it stays
        assert requests.get(rendered["cdn_url"]).status_code == 200
        assert server.get(f"/api/v1/tasks/{drawn['id']}").json()["data"]["result"]
