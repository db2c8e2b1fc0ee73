"""The bash example of VicSee's own page, run as it is written there."""
import pytest
import requests
from models import make_toy
from pipeline import run
from serving import Server


def test_the_complete_example(shared, photos, tmp_path):
    page = shared / "seeds/vicsee-characters.txt"
    if not page.exists():
        pytest.skip("../shared/seeds is absent")
    make_toy(tmp_path / "home/troupe/models/toy")
    with Server(tmp_path / "data", environment={"XDG_DATA_HOME": str(tmp_path / "home")}) as server:
        said, answer = run(page, server, photos.urls(10))
        assert said[0].startswith("Character ID: ") and said[-1] == "Status: ready" and set(said[1:-1]) <= {"Status: training"}
        images = answer["data"]["output"]["images"]
        assert answer["success"] and answer["data"]["status"] == "completed" and len(images) == 4
        for image in images:
            picture = requests.get(image["url"])
            assert picture.status_code == 200 and picture.content.startswith(b"\x89PNG") and ".png" in image["url"]
        assert server.get("/api/v1/credits").json()["data"]["credits"] == 10000 - 500 - 60
        server.assert_ledger_sums()
