#!/usr/bin/env python3
"""try.py FOLDER [EMULATOR ARGUMENT...]: runs logboomd and logboom of FOLDER, by an emulator of another processor when one is
named, and goes once through what they are for: logs in over HTTP, TLS and a pipe, patterns and counts out, a stop and a start
that forget nothing. For packages of an architecture that nobody here can boot in seconds. Standard library and openssl only.
"""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

BINARIES, EMULATOR = sys.argv[1], sys.argv[2:]
# The three examples that everyone tries first, and what they are promised to become.
PROMISED = {
    "User 123 logged in": "User <ID> logged in",
    "Query took 0.05s": "Query took <TIME>s",
    "Error: File not found: /path/file.txt": "Error: File not found: <PATH>",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def must(condition, text):
    if not condition:
        raise AssertionError(text)


class Try:
    def __init__(self, folder):
        self.folder = folder
        self.plain, self.secure = free_port(), free_port()
        self.socket = os.path.join(folder, "socket")
        self.certificate, key = os.path.join(folder, "server.pem"), os.path.join(folder, "server.key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.certificate],
            check=True, capture_output=True)
        os.chmod(key, 0o600)
        self.environment = {
            "PATH": os.environ["PATH"], "STATE_DIRECTORY": os.path.join(folder, "state"), "RUNTIME_DIRECTORY": folder,
            "LISTEN": f"127.0.0.1:{self.plain},tls:127.0.0.1:{self.secure},unix:{self.socket}", "JOURNAL": "off",
            "TLS_CERTIFICATE": self.certificate, "TLS_KEY": key, "MALLOC_ARENA_MAX": "1", "SWIFT_BACKTRACE": "enable=no",
        }
        os.makedirs(self.environment["STATE_DIRECTORY"])
        self.log = open(os.path.join(folder, "log"), "w+", encoding="utf-8")
        self.daemon = None

    def start(self):
        self.daemon = subprocess.Popen([*EMULATOR, os.path.join(BINARIES, "logboomd")], env=self.environment,
                                       stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.ask("GET", "/livez")
            except OSError:
                must(self.daemon.poll() is None and time.monotonic() < deadline, "logboomd did not start")
                time.sleep(0.1)

    def stop(self):
        self.daemon.send_signal(signal.SIGTERM)
        must(self.daemon.wait(30) == 0, f"logboomd ended with {self.daemon.returncode} when it was asked to stop")
        self.daemon = None

    def ask(self, method, path, body=None, secure=False, expect=(200,)):
        if secure:
            context = ssl.create_default_context(cafile=self.certificate)
            connection = http.client.HTTPSConnection("127.0.0.1", self.secure, timeout=30, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.plain, timeout=30)
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            must(answer.status in expect, f"{method} {path} was answered {answer.status}: {text[:500]!r}")
            return json.loads(text) if path != "/metrics" else text.decode()
        finally:
            connection.close()

    def command(self, *arguments, text=None):
        done = subprocess.run(
            [*EMULATOR, os.path.join(BINARIES, "logboom"), *arguments], input=text, capture_output=True, text=True, timeout=60,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"})
        must(done.returncode == 0, f"logboom {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def counts(self):
        return {row["pattern"]: row["count"] for row in self.ask("GET", "/v1/patterns?limit=100")["patterns"]}

    def go(self):
        self.start()
        answer = self.ask("POST", "/ingest", {"message": "pump 7 failed", "level": "error", "source": "try"})
        must(answer.get("durable") == 1, f"an error is durable when it is answered: {answer}")
        self.ask("POST", "/ingest/batch", {"logs": [{"message": text, "source": "try"} for text in PROMISED]}, expect=(200, 202))
        self.ask("POST", "/ingest", {"message": "User 4 logged in", "source": "try"}, secure=True, expect=(200, 202))
        self.ask("POST", "/flush")
        counts = self.counts()
        must(set(counts) >= set(PROMISED.values()), f"the promised patterns: {counts}")
        must(counts["User <ID> logged in"] == 2, f"one log of each way in: {counts}")
        records = self.ask("GET", "/stats")["records"]
        must(records["accepted"] == 5, f"five were accepted: {records}")
        health = self.ask("GET", "/health")
        must(health["status"] == "healthy", f"it is healthy: {health}")
        must("\nlogboom_" in self.ask("GET", "/metrics"), "there are metrics")
        # The command line, over the port and by itself.
        must("User <ID> logged in" in self.command("top", "--url", f"http://127.0.0.1:{self.plain}"), "logboom top shows it")
        must("User <ID> logged in" in self.command("patterns", "-", text="User 1 logged in\nUser 2 logged in\n"),
             "logboom patterns finds it")
        self.stop()
        self.start()
        must(self.counts() == counts, "a stop and a start forget nothing")
        self.stop()


def main():
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="logboom-try.") as folder:
        attempt = Try(folder)
        try:
            attempt.go()
        except (AssertionError, OSError, subprocess.SubprocessError) as problem:
            attempt.log.seek(0)
            sys.exit(f"{problem}\nlogboomd said:\n{attempt.log.read()[-4000:]}")
        finally:
            if attempt.daemon is not None:
                attempt.daemon.kill()
                attempt.daemon.wait()
            attempt.log.close()
    print(f"They run{' by ' + os.path.basename(EMULATOR[0]) if EMULATOR else ''}: logs in over HTTP, TLS and a pipe, patterns "
          f"and counts out, a stop and a start ({time.monotonic() - began:.0f} s).")


main()
