"""The complete example of the service's page: create a character from ten pictures, poll until it is ready, draw four images.
Run as it stands there, with bash, curl and jq; only host, key and the list of pictures are put in."""
import json
import subprocess

HOST, KEY, PICTURES = "https://vicsee.com", "YOUR_API_KEY", '["https://...", "https://...", "...10-30 URLs..."]'


def example(page):
    """The script of the page: from its first step to the end of its last call."""
    text = page.read_text()
    start = text.index("# Step 1: Create character")
    return text[start : text.index("}'", text.index("# Step 3", start)) + 2]


def run(page, server, urls):
    """What it printed before the last answer, and that answer."""
    script = example(page)
    for old, new in ((HOST, server.url), (KEY, server.key), (PICTURES, json.dumps(urls))):
        assert old in script, old
        script = script.replace(old, new)
    done = subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", script], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    *said, last = done.stdout.strip().split("\n")
    return said, json.loads(last)
