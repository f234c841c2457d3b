"""Finds out, for packaging/code-order, which functions of logboomd run while nothing happens and which in ordinary use, and prints them in
that order for the linker. Standard library only. What is hot under load is all but the same as what is used at all: 24 functions more.

valgrind's callgrind names the functions and runs the program as it is, one thread at a time: what takes long shows, what is rare does
too. The daemon runs as on a Pi with PostgreSQL, then as it does freshly installed; both read a journal.
"""

import argparse
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

from process import end

JOURNAL_TOOL = "/lib/systemd/systemd-journal-remote"
ENTRIES = 2000
IDLE_SECONDS = 65
USE_SECONDS = 20

parser = argparse.ArgumentParser()
parser.add_argument("--program", required=True, help="logboomd with its symbols and without DWARF")
parser.add_argument("--folder", required=True)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--postgres-socket", required=True)
options = parser.parse_args()


class Daemon:
    """logboomd under callgrind, with a service manager's socket to report to and a watchdog to feed."""

    def __init__(self, name, more):
        self.folder = os.path.join(options.folder, name)
        self.state = os.path.join(self.folder, "state")
        os.makedirs(self.state)
        self.url = f"http://127.0.0.1:{options.port}"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = os.path.join(self.folder, "notify")
        self.notify.bind(address)
        self.log = open(os.path.join(self.folder, "logboomd.log"), "w+")
        self.process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--demangle=no", f"--callgrind-out-file={self.folder}/out", options.program],
            env={"PATH": os.environ["PATH"], "LISTEN": f"127.0.0.1:{options.port}", "STATE_DIRECTORY": self.state,
                 "RUNTIME_DIRECTORY": self.folder, "JOURNAL": "on", "JOURNAL_DIRECTORY": journal, "NOTIFY_SOCKET": address,
                 "WATCHDOG_USEC": "20000000", "MALLOC_ARENA_MAX": "1"} | more,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 120
        while True:
            try:
                if self.stats()["journal"]["entries"] >= ENTRIES:
                    break
            except (OSError, ValueError):
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                sys.exit("logboomd did not read the journal to its end:\n" + self.log.read()[-4000:])
            time.sleep(0.5)
        self.ask("/flush", b"")

    def ask(self, path, body=None):
        request = urllib.request.Request(self.url + path, data=body, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.read()

    def stats(self):
        return json.loads(self.ask("/stats"))

    def control(self, what):
        # What the daemon reports is read away, or the socket would fill and hold it up.
        self.notify.setblocking(False)
        try:
            while self.notify.recv(4096):
                pass
        except BlockingIOError:
            pass
        subprocess.run(["callgrind_control", what, str(self.process.pid)], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def during(self, action):
        """The functions of the program that run from now to the end of `action`."""
        self.control("--zero")
        before = set(glob.glob(self.folder + "/out.*"))
        action()
        self.control("--dump")
        made = set(glob.glob(self.folder + "/out.*")) - before
        return functions(made.pop())

    def stop(self):
        end(self.process)
        self.log.close()
        self.notify.close()


def functions(path):
    """A profile as callgrind writes it (its manual, "Callgrind Format Specification"): names are given once and numbered."""
    names, objects, found, current, is_call = {}, {}, set(), (None, None), False
    with open(path, errors="replace") as file:
        for line in file:
            said = re.match(r"(c?)(ob|fn)=\((\d+)\)(?: (.*))?$", line)
            if said:
                is_callee, kind, number, name = said.groups()
                table = objects if kind == "ob" else names
                if name:
                    table[number] = name.strip()
                if not is_callee:
                    current = (table[number], current[1]) if kind == "ob" else (current[0], table[number])
            elif line.startswith("calls="):
                is_call = True
            elif re.match(r"[-+*\d]\S* \d+$", line):
                # What stands behind a call is the callee's, and is said there too.
                if not is_call:
                    found.add(current)
                is_call = False
    program = os.path.realpath(options.program)
    return {name.partition("'")[0] for place, name in found if place == program and re.fullmatch(r"[A-Za-z_$.][\w$.']*", name)}


def use(daemon):
    """What a household's programs and its owner do."""
    for number in range(USE_SECONDS * 2):
        level = "error" if number % 10 == 0 else "info"
        daemon.ask("/ingest", json.dumps({"message": f"sensor {number} reads {number / 7:.2f}", "level": level}).encode())
        if number % 10 == 0:
            for path in ("/health", "/health/db", "/stats", "/metrics", "/v1/patterns", "/livez", "/readyz"):
                daemon.ask(path)
        time.sleep(0.5)
    daemon.ask("/flush", b"")


def entries():
    """The journal export format."""
    start = int((time.time() - 600) * 1_000_000)
    for number in range(ENTRIES):
        unit = ("nodered", "mosquitto", "ssh", "cron")[number % 4]
        yield (f"__REALTIME_TIMESTAMP={start + number * 1000}\n__MONOTONIC_TIMESTAMP={1_000_000 + number * 1000}\n"
               f"_BOOT_ID={'b' * 32}\n_TRANSPORT=stdout\nPRIORITY={3 if number % 50 == 0 else 6}\nSYSLOG_IDENTIFIER={unit}\n_PID=400\n"
               f"_COMM={unit}\n_SYSTEMD_UNIT={unit}.service\n_MACHINE_ID={'c' * 32}\n_HOSTNAME=pi\n"
               f"MESSAGE=user {number} logged in from 192.168.1.{number % 256}\n\n")


journal = os.path.join(options.folder, "journal")
os.makedirs(journal)
maker = subprocess.run([JOURNAL_TOOL, f"--output={journal}/system.journal", "-"], input="".join(entries()).encode(), timeout=120,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
if maker.returncode != 0:
    sys.exit("systemd-journal-remote made no journal.")

idle, used = set(), set()
for name, more in (
    ("postgres", {"POSTGRES_HOST": options.postgres_socket, "POSTGRES_DB": "logboom", "POSTGRES_USER": "logboom"}),
    ("embedded", {}),
):
    daemon = Daemon(name, more)
    try:
        idle |= daemon.during(lambda: time.sleep(IDLE_SECONDS))
        used |= daemon.during(lambda: use(daemon))
    finally:
        daemon.stop()
    shutil.rmtree(daemon.folder, ignore_errors=True)

for title, group in (("idle", idle), ("in ordinary use", used - idle)):
    print(f"# {title}: {len(group)} functions")
    for function in sorted(group):
        print(function)
