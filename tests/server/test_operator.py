"""What an operator does on the host: settings, keys, credits, templates, watching, stopping."""
import os
import signal
import socket
import subprocess
import time

import pytest
from conftest import TROUPE, troupe
from serving import Server


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("operator") / "data", workers=0) as running:
        yield running


def serve_fails(*flags, **environment):
    done = subprocess.run([TROUPE, "serve", *flags], capture_output=True, text=True, timeout=60, env={**os.environ, **environment})
    assert done.returncode != 0 and len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done


# --- settings ---


def test_flags_come_before_variables_and_variables_before_the_file(tmp_path):
    (tmp_path / "troupe.conf").write_text("[troupe]\nlisten = nonsense-of-file\nfast = perhaps\n")
    config = f"--config={tmp_path}/troupe.conf"
    data = f"--data={tmp_path}/data"
    assert "nonsense-of-file" in serve_fails(config, data, "--fast=true").stderr
    assert "nonsense-of-variable" in serve_fails(config, data, "--fast=true", TROUPE_LISTEN="nonsense-of-variable").stderr
    assert "nonsense-of-flag" in serve_fails(config, data, "--fast=true", "--listen=nonsense-of-flag", TROUPE_LISTEN="nonsense-of-variable").stderr
    assert "perhaps" in serve_fails(config, data, "--listen=127.0.0.1:0").stderr


@pytest.mark.parametrize("text, word", [("[troupe]\nlissen = x\n", "lissen"), ("[server]\nlisten = x\n", "server"), ("no settings at all", "settings")])
def test_a_wrong_file_of_settings_is_refused(text, word, tmp_path):
    (tmp_path / "troupe.conf").write_text(text)
    done = serve_fails(f"--config={tmp_path}/troupe.conf", f"--data={tmp_path}/data")
    assert done.returncode == 2 and word in done.stderr


@pytest.mark.parametrize("flag", ["--render-cores=-1", "--result-days=many", "--fast=perhaps", "--fetch-allow=everywhere", "--listen=127.0.0.1", "--listen=127.0.0.1:99999", "--workers=65"])
def test_wrong_settings_are_refused(flag, tmp_path):
    assert serve_fails(flag, f"--data={tmp_path}/data").returncode == 2


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in serve_fails(f"--listen=127.0.0.1:{port}", f"--data={tmp_path}/data").stderr


def test_a_data_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    assert "file" in serve_fails("--listen=127.0.0.1:0", f"--data={tmp_path}/file/data").stderr


# --- keys and credits ---


def test_a_key_works_at_once_and_not_after_it_was_revoked(idle):
    key = idle.new_key("--account", "somebody", "--credits", "12.5")
    assert key.startswith("sk-") and idle.get("/api/credits", key=key).json()["balance"] == 12.5
    assert key not in idle.run("key", "list").stdout and "somebody" in idle.run("key", "list").stdout
    idle.run("key", "revoke", key)
    assert any(idle.get("/api/credits", key=key).status_code == 401 for _ in range(30) if not time.sleep(0.1))
    assert idle.run("key", "revoke", "key_none", check=False).returncode == 1


def test_scopes_and_dialects(idle, character_png):
    reader = idle.new_key("--scopes", "read")
    assert idle.get("/api/characters", key=reader).status_code == 200
    refused = idle.post("/api/characters/preprocess", key=reader, data={"name": "A"}, files={"image": character_png.read_bytes()})
    assert refused.status_code == 403
    assert idle.new_key("--dialect", "prism").startswith("prism_sk_")
    assert idle.run("key", "create", "--dialect", "klingon", check=False).returncode == 2


def test_credits(idle):
    idle.new_key("--account", "rich")
    assert "balance 3.50" in idle.run("credit", "add", "3.5", "--account", "rich").stdout
    assert "balance 3.50" in idle.run("credit", "show", "--account", "rich").stdout
    for wrong in ("-1", "much", "nan", "0", "1e30"):
        assert idle.run("credit", "add", wrong, "--account", "rich", check=False).returncode == 2
    assert idle.run("credit", "show", "--account", "nobody", check=False).returncode == 1
    idle.assert_ledger_sums()


@pytest.mark.parametrize("words", [("key",), ("key", "make"), ("credit", "add"), ("template", "add"), ("key", "revoke"), ("watch",)])
def test_wrong_usage_is_explained(words, tmp_path):
    done = troupe(*words, f"--data={tmp_path}/data", check=False)
    assert done.returncode == 2 and f"troupe {words[0]}" in done.stderr


# --- templates ---


def test_templates(idle, scene, tmp_path):
    identity = idle.run("template", "add", scene, "--name", "A dance").stdout.strip()
    assert identity in idle.run("template", "list").stdout
    made = idle.post("/api/scenes/import", json={"template_id": identity}).json()
    assert idle.get(f"/api/scenes/{made['id']}").json()["status"] == "ready"
    idle.run("template", "remove", identity)
    assert identity not in idle.run("template", "list").stdout
    assert idle.post("/api/scenes/import", json={"template_id": identity}).status_code == 400
    assert idle.get(f"/api/scenes/{made['id']}").json()["status"] == "ready", "what was imported stays"
    assert idle.run("template", "add", tmp_path, check=False).returncode == 1


# --- watching and stopping ---


def test_watch_and_a_stop_that_hands_back(tmp_path, character_png):
    with Server(tmp_path / "data") as server:
        made = server.post("/api/characters/preprocess", files={"image": character_png.read_bytes()}, data={"name": "A"}).json()
        followed = server.run("watch", made["job_id"])
        assert "complete 100 %" in followed.stderr
        assert server.run("watch", "job_none", check=False).returncode == 1
        second = server.post("/api/characters/preprocess", files={"image": character_png.read_bytes()}, data={"name": "B"}).json()
        assert server.stop(signal.SIGTERM) == 0
        server.start()
        assert server.wait(f"/api/characters/{second['id']}")["status"] == "ready", "a job survives the server's stop"
        assert server.rows("SELECT attempts FROM jobs WHERE id = ?", second["job_id"])[0]["attempts"] <= 2
        server.assert_ledger_sums()
