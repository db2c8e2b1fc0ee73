"""Fetching a published model, from a server of our own: what is fetched, going on with what is there, damage, refusals."""
import hashlib
import http.server
import json
import os
import re
import threading

import pytest
from conftest import assert_refused, troupe, troupe_json

REPOSITORY = "black-forest-labs/FLUX.2-klein-4B"
FILES = {
    "model_index.json": b'{"_class_name": "Flux2KleinPipeline", "is_distilled": true}',
    "transformer/diffusion_pytorch_model.safetensors": os.urandom(700_000),
    "text_encoder/model-00001-of-00002.safetensors": os.urandom(300_001),
    "text_encoder/model.safetensors.index.json": b"{}",
    "tokenizer/tokenizer.json": b"{}",
    "vae/diffusion_pytorch_model.safetensors": os.urandom(5),
    "LICENSE.md": b"yes",
}
LEFT = {"flux-2-klein-4b.safetensors": b"the same once more", "vae/../../outside.json": b"no", "vae/run.py": b"no"}


class Hub:
    """Serves the files; `cut` breaks answers off after so many bytes, `ranges` may be switched off, `wrong` spoils a file."""

    def __init__(self):
        self.asked, self.cut, self.ranges, self.wrong = [], None, True, None
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                hub.answer(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, request):
        begin = int(re.match(r"bytes=(\d+)-", request.headers.get("Range", "bytes=0-")).group(1))
        self.asked.append((request.path, begin))
        if request.path == f"/api/models/{REPOSITORY}/tree/main?recursive=true":
            body = json.dumps([self.entry(path, data) for path, data in {**FILES, **LEFT}.items()] + [{"type": "directory", "path": "vae"}]).encode()
        else:
            path = request.path.removeprefix(f"/{REPOSITORY}/resolve/main/")
            body = FILES.get(path)
        if body is None:
            request.send_error(404)
            return
        if self.wrong and self.wrong in request.path:
            body = bytes([body[0] ^ 1]) + body[1:]
        partial = begin > 0 and self.ranges
        if partial and begin >= len(body):
            request.send_error(416)
            return
        body = body[begin:] if partial else body
        request.send_response(206 if partial else 200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.cut is not None and len(body) > self.cut:
            request.wfile.write(body[: self.cut])
            request.close_connection = True
            return
        request.wfile.write(body)

    @staticmethod
    def entry(path, data):
        entry = {"type": "file", "path": path, "size": len(data)}
        if path.endswith(".safetensors"):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}
        return entry


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    hub.server.shutdown()


def pull(hub, folder, **options):
    return troupe("models", "pull", "flux2-klein-4b", "--from", hub.url, "--models", folder, "--quiet", **options)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_a_model_needs_is_fetched(hub, empty):
    pull(hub, empty)
    assert contents(empty / "flux2-klein-4b") == FILES
    assert hub.asked[-1][0].endswith("model_index.json")


def test_what_is_there_is_not_fetched_again(hub, empty):
    said = troupe_json("models", "pull", "flux2-klein-4b", "--from", hub.url + "/", "--models", empty)
    assert said == {"name": "flux2-klein-4b", "path": str(empty / "flux2-klein-4b")}
    (empty / "flux2-klein-4b/vae/diffusion_pytorch_model.safetensors").write_bytes(b"spoil")
    hub.asked.clear()
    pull(hub, empty)
    assert contents(empty / "flux2-klein-4b") == FILES
    assert len(hub.asked) == 2 and "vae" in hub.asked[1][0]


def test_a_broken_connection_is_taken_up(hub, empty):
    hub.cut = 200_000
    pull(hub, empty)
    assert contents(empty / "flux2-klein-4b") == FILES
    assert [begin for path, begin in hub.asked if "transformer" in path] == [0, 200_000, 400_000, 600_000]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_part_from_before_is_gone_on_with(hub, empty, ranges):
    hub.ranges = ranges
    part = empty / "flux2-klein-4b/transformer/diffusion_pytorch_model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(FILES["transformer/diffusion_pytorch_model.safetensors"][:123_456])
    pull(hub, empty)
    assert contents(empty / "flux2-klein-4b") == FILES
    assert [begin for path, begin in hub.asked if "transformer" in path] == [123_456]


def test_a_damaged_file_is_not_kept(hub, empty):
    hub.wrong = "text_encoder/model-00001"
    done = pull(hub, empty, check=False)
    assert done.returncode == 1 and "damaged" in done.stderr
    there = contents(empty / "flux2-klein-4b")
    assert not any("model-00001" in name for name in there) and "model_index.json" not in there
    hub.wrong = None
    pull(hub, empty)
    assert contents(empty / "flux2-klein-4b") == FILES


def test_no_network(empty):
    done = troupe("models", "pull", "flux2-klein-4b", "--from", "http://127.0.0.1:9", "--models", empty, "--quiet", check=False)
    assert_refused(done, empty, "127.0.0.1", "reached")


def test_something_else_answers(hub, empty):
    done = troupe("models", "pull", "flux2-klein-9b", "--from", hub.url, "--models", empty, "--quiet", check=False)
    assert_refused(done, empty, "404")


@pytest.mark.parametrize("arguments, word", [(["pull", "nosuch"], "flux2-klein-4b"), (["pull"], "pull NAME"), (["pull", "flux2-klein-4b", "--from", "ftp://x"], "https")])
def test_wrong_usage(empty, arguments, word):
    done = troupe("models", *arguments, "--models", empty, "--quiet", check=False)
    assert_refused(done, empty, word, code=2)
