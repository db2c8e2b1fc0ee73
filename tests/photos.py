"""Somebody's web server with pictures, for requests that name them by address; it keeps what is posted to it."""
import http.server
import threading
import time

from conftest import ffmpeg

MANY = 31


class QuietHandler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Photos:
    """Pictures /00.png … /30.png of one figure, as good and as bad as they come elsewhere."""

    def __init__(self, folder):
        self.folder = folder
        self.posted = []
        photos = self

        class Handler(QuietHandler):
            def do_GET(self):
                path = photos.folder / self.path.strip("/")
                if self.path == "/page":
                    self.answer(200, b"<!DOCTYPE html><p>Log in first", Content_Type="text/html")
                elif self.path == "/text.png":
                    self.answer(200, b"this is no picture at all", Content_Type="image/png")
                elif self.path == "/huge.png":
                    body = path.with_name("00.png").read_bytes()
                    self.answer(200, body + bytes(10_000_001 - len(body)), Content_Type="image/png")
                elif self.path == "/slow.png":
                    time.sleep(1)
                    self.answer(200, path.with_name("00.png").read_bytes(), Content_Type="image/png")
                elif path.is_file():
                    self.answer(200, path.read_bytes(), Content_Type="image/png")
                else:
                    self.answer(404)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                photos.posted.append((self.path, dict(self.headers), body))
                self.answer(204)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def urls(self, count, start=0):
        return [f"{self.url}/{i:02}.png" for i in range(start, start + count)]

    def wait_posted(self, path, count=1, patience=30):
        limit = time.monotonic() + patience
        while len(found := [post for post in self.posted if post[0] == path]) < count:
            assert time.monotonic() < limit, f"nothing was posted to {path}"
            time.sleep(0.05)
        return found


def take_photos(folder, character):
    """One figure in many colours."""
    for i in range(MANY):
        ffmpeg("-i", character, "-vf", f"scale=128:-1,hue=h={11 * i}", "-frames:v", "1", folder / f"{i:02}.png")
    ffmpeg("-i", character, "-frames:v", "1", folder / "large.png")
    return Photos(folder)
