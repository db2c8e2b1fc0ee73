"""A real server with its workers for the tests: on a port of its own, with a data folder of its own."""
import json
import os
import re
import signal
import sqlite3
import subprocess
import time

import requests
from conftest import TROUPE, troupe

PATIENCE = 240  # seconds a job may take here: machines are shared, and some builds carry sanitizers


class Server:
    """troupe serve on a free port. Use as a context manager; `options` are flags such as workers=0."""

    def __init__(self, data, environment=None, **options):
        self.data = data
        self.environment = environment or {}
        self.options = {"listen": "127.0.0.1:0", "fetch-allow": "127.0.0.0/8", "requests-minute": "100000", "templates": "none", "requests-day": "0", **{k.replace("_", "-"): v for k, v in options.items()}}
        self.key = None
        self.process = None

    def flags(self):
        return [f"--data={self.data}"] + [f"--{name}={value}" for name, value in self.options.items() if value is not None]

    def start(self):
        environment = {**os.environ, "XDG_CONFIG_HOME": str(self.data.parent / "no-config"), **self.environment}
        self.log = open(self.data.parent / f"{self.data.name}.log", "ab")
        self.process = subprocess.Popen([TROUPE, "serve", *self.flags()], stdout=subprocess.PIPE, stderr=self.log, env=environment)
        first = self.process.stdout.readline().decode()
        found = re.search(r"http://[0-9.:]+", first)
        assert found, f"the server did not start: {first!r} {self.log_text()[-2000:]}"
        self.url = found.group(0)
        if not (self.data.parent / f"{self.data.name}.seen").exists():
            (self.data.parent / f"{self.data.name}.seen").touch()
            self.key = re.search(r"sk-\w+", self.process.stdout.readline().decode()).group(0)
        return self

    def log_text(self):
        return (self.data.parent / f"{self.data.name}.log").read_text(errors="replace")

    def stop(self, how=signal.SIGTERM, patience=30):
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(timeout=patience)
        self.process.stdout.close()
        self.log.close()
        return code

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()

    # --- talking to it ---

    def call(self, method, path, key=True, **options):
        headers = dict(options.pop("headers", {}))
        if key:
            headers["Authorization"] = f"Bearer {self.key if key is True else key}"
        url = path if path.startswith("http") else self.url + path
        return requests.request(method, url, headers=headers, timeout=PATIENCE, **options)

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def post(self, path, **options):
        return self.call("POST", path, **options)

    def delete(self, path, **options):
        return self.call("DELETE", path, **options)

    def wait(self, path, ends=("ready", "complete", "failed", "cancelled"), patience=PATIENCE, **options):
        """Polls until the status is one of `ends`; gives the last answer."""
        limit = time.monotonic() + patience
        while True:
            answer = self.get(path, **options)
            assert answer.status_code == 200, answer.text
            if answer.json()["status"] in ends:
                return answer.json()
            assert time.monotonic() < limit, f"{path} is still {answer.text}\n{self.log_text()[-3000:]}"
            time.sleep(0.1)

    # --- operator's commands ---

    def run(self, *arguments, **options):
        return troupe(*arguments, f"--data={self.data}", **options)

    def new_key(self, *options):
        return self.run("key", "create", *options).stdout.strip()

    # --- looking behind it ---

    def rows(self, sql, *values):
        with sqlite3.connect(f"file:{self.data}/troupe.db?mode=ro", uri=True, timeout=30) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(sql, values)]

    def assert_ledger_sums(self):
        for account in self.rows("SELECT id, balance, (SELECT coalesce(sum(amount), 0) FROM ledger WHERE account = accounts.id) AS total FROM accounts"):
            assert account["balance"] == account["total"] >= 0, account
        open_jobs = self.rows("SELECT job, sum(amount) AS total FROM ledger WHERE kind IN ('reserve', 'release') AND job IN (SELECT id FROM jobs WHERE status IN ('complete', 'failed', 'cancelled')) GROUP BY job")
        assert all(row["total"] == 0 for row in open_jobs), [row for row in open_jobs if row["total"]]


def metric(server, name):
    found = re.search(rf"^{re.escape(name)} ([0-9.e+]+)$", server.get("/metrics").text, re.MULTILINE)
    return float(found.group(1)) if found else None


def log_lines(server):
    return [json.loads(line) for line in server.log_text().splitlines() if line.startswith("{")]
