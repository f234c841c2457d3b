"""Takes the measurements of packaging/bench journal: how fast logboomd catches up with a journal, and what it costs while
nothing is written. Standard library only.

Every run starts a fresh daemon on the embedded store, with an empty state folder, on the same journal file, made by
systemd-journal-remote. After the last entry the counts in the store must be the entries written, to the last one.
"""

import argparse
import json
import os
import platform
import random
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import time

from process import IDLE_AFTER, cpu_seconds, end, fields

TOOL = "/lib/systemd/systemd-journal-remote"

parser = argparse.ArgumentParser()
parser.add_argument("--program", required=True, help="logboomd")
parser.add_argument("--folder", required=True)
parser.add_argument("--entries", type=int, default=100_000)
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--about", default="")
options = parser.parse_args()

UNITS = ["nodered", "mosquitto", "zigbee2mqtt", "nginx", "ssh", "cron", "NetworkManager", "docker"]
MESSAGES = [
    "user {word} logged in from 192.168.1.{byte}", "Query took {small}.{small}s", "GET /api/state/{number} 200 {number}",
    "device {hex} joined the network", "saved 1 flow in /home/pi/.node-red/flows_{number}.json",
    "Started session {number} of user pi.", "connection {number} closed: timeout after {small} s",
    "temperature of sensor {byte} is {small}.{small} degrees",
]


def entries(count):
    """The journal export format: what a household's machine writes, with the fields that journald adds."""
    chance = random.Random(1)
    start = int((time.time() - 3600) * 1_000_000)
    for number in range(count):
        unit = UNITS[number % len(UNITS)]
        text = chance.choice(MESSAGES).format(
            word=chance.choice(["alice", "bob", "carol"]), byte=chance.randrange(256), small=chance.randrange(100),
            number=chance.randrange(1_000_000), hex="%08x" % chance.getrandbits(32))
        yield (f"__REALTIME_TIMESTAMP={start + number * 1000}\n__MONOTONIC_TIMESTAMP={1_000_000 + number * 1000}\n"
               f"_BOOT_ID={'b' * 32}\n_TRANSPORT={'stdout' if number % 3 else 'syslog'}\n"
               f"PRIORITY={3 if number % 50 == 0 else 6}\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER={unit}\n_PID={400 + number % 8}\n"
               f"_UID=1000\n_GID=1000\n_COMM={unit}\n_EXE=/usr/bin/{unit}\n_CMDLINE=/usr/bin/{unit} --foreground\n"
               f"_CAP_EFFECTIVE=0\n_SYSTEMD_CGROUP=/system.slice/{unit}.service\n_SYSTEMD_UNIT={unit}.service\n"
               f"_SYSTEMD_SLICE=system.slice\n_SYSTEMD_INVOCATION_ID={'a' * 31}{number % 8}\n_MACHINE_ID={'c' * 32}\n"
               f"_HOSTNAME=pi\nMESSAGE={text}\n\n")


class Daemon:
    def __init__(self, journal):
        self.state = os.path.join(options.folder, "state")
        shutil.rmtree(self.state, ignore_errors=True)
        os.makedirs(self.state)
        self.socket = os.path.join(options.folder, "logboom.sock")
        environment = {
            "PATH": os.environ["PATH"], "LISTEN": f"unix:{self.socket}", "STATE_DIRECTORY": self.state,
            "RUNTIME_DIRECTORY": options.folder, "JOURNAL": "on", "JOURNAL_DIRECTORY": journal,
            # As in the unit file.
            "MALLOC_ARENA_MAX": "1",
        }
        for name in ("journal-position", "logboom.sock"):
            if os.path.exists(os.path.join(options.folder, name)):
                os.unlink(os.path.join(options.folder, name))
        self.log = open(os.path.join(options.folder, "logboomd.log"), "w+")
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [options.program], env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.proc = f"/proc/{self.process.pid}"

    def ask(self, path, method="GET"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(self.socket)
            connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                               "Content-Length: 0\r\n\r\n".encode())
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        return json.loads(answer.partition(b"\r\n\r\n")[2])

    def wait_for_end(self):
        """Seconds from the start of the process until every entry was counted."""
        while True:
            try:
                if self.ask("/stats")["journal"]["entries"] >= options.entries:
                    return time.monotonic() - self.began
            except (OSError, ValueError):
                pass
            if self.process.poll() is not None or time.monotonic() - self.began > 120:
                self.log.seek(0)
                sys.exit("logboomd did not read the journal to its end:\n" + self.log.read()[-4000:])
            time.sleep(0.01)

    def wakeups(self):
        total = 0
        for thread in os.listdir(self.proc + "/task"):
            with open(f"{self.proc}/task/{thread}/status") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
        return total

    def stop(self):
        end(self.process)
        self.log.close()


journal = os.path.join(options.folder, "journal")
os.makedirs(journal)
made = os.path.join(journal, "system.journal")
maker = subprocess.Popen([TOOL, "--output=" + made, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
for entry in entries(options.entries):
    maker.stdin.write(entry.encode())
maker.stdin.close()
if maker.wait(120) != 0:
    sys.exit("systemd-journal-remote made no journal.")

rows = []
for _ in range(options.runs):
    daemon = Daemon(journal)
    try:
        seconds = daemon.wait_for_end()
        cpu = cpu_seconds(daemon.process.pid)
        peak = fields(daemon.proc + "/status")
        daemon.ask("/flush", "POST")
        time.sleep(IDLE_AFTER)
        before = daemon.wakeups(), cpu_seconds(daemon.process.pid)
        time.sleep(10)
        wakeups = (daemon.wakeups() - before[0]) / 10
        idle = (cpu_seconds(daemon.process.pid) - before[1]) * 100
        memory = fields(daemon.proc + "/smaps_rollup")
        rest = fields(daemon.proc + "/status")
    finally:
        daemon.stop()
    store = sqlite3.connect(os.path.join(daemon.state, "logboom.db"))
    counted = store.execute("SELECT sum(count) FROM aggregated_logs").fetchone()[0]
    store.close()
    if counted != options.entries:
        sys.exit(f"NOT ALL: {counted} of {options.entries} entries are counted.")
    rows.append({
        "seconds": seconds, "cpu": cpu, "peak": peak["VmHWM"], "wakeups": wakeups, "idle": idle,
        "rss": rest["VmRSS"], "anonymous": rest["RssAnon"], "pss": memory["Pss"],
    })


def middle(name, scale=1.0, form="{:.1f}"):
    values = sorted(row[name] / scale for row in rows)
    return f"{form} ({form} to {form})".format(statistics.median(values), values[0], values[-1])


processor = platform.processor() or platform.machine()
print(f"{processor}, {os.cpu_count()} cores, Linux {platform.release()}. {options.about}")
print(f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, {options.runs} runs, the middle one and in brackets the lowest "
      f"and the highest, {os.path.getsize(made) >> 20} MB of journal, all entries counted once in each run.\n")
print(f"| {options.entries:,} entries of a journal |  |\n| --- | ---: |")
print(f"| caught up, from the start of the process, s | {middle('seconds', form='{:.2f}')} |")
print(f"| processor time for it, s | {middle('cpu', form='{:.2f}')} |")
print(f"| peak resident memory, the journal's mapped pages included, MB | {middle('peak', 1000)} |")
print(f"| then, with nothing written: wake-ups a second, all threads | {middle('wakeups')} |")
print(f"| processor time, ms a second | {middle('idle', form='{:.2f}')} |")
print(f"| resident / anonymous / proportional memory, MB | {middle('rss', 1000)} / {middle('anonymous', 1000)} / "
      f"{middle('pss', 1000)} |")
