"""Takes the measurement of packaging/bench wear: what logboomd writes to the disk while PostgreSQL is in health and logs come
in at a steady rate, half of them over HTTP and half from the journal. Standard library only.

In real time and with the daemon's own timers, as nothing of them can be hurried: what the start writes once, and then what
comes with the time, which is set against a day; an hour has each timer once. The kernel keeps the accounts (`write_bytes` in
/proc/PID/io, proc(5): bytes that the process made dirty on a file system with a disk below it). Patterns are those of a
household: 300 statements, and a new one every five minutes, so that there is always something to keep.
"""

import argparse
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

from daemon import add_options, fresh_database, sql

DAY = 86_400

parser = argparse.ArgumentParser()
add_options(parser)
parser.add_argument("--minutes", type=int, default=30)
parser.add_argument("--rate", type=int, default=10, help="logs a second, each a request")
options = parser.parse_args()

TOOL = "/lib/systemd/systemd-journal-remote"
SOURCES = ["nodered", "zigbee2mqtt", "mosquitto", "backup", "heating"]
SUBJECTS = ["boiler", "pump", "door", "window", "printer", "camera", "valve", "fan", "meter", "battery",
            "inverter", "router", "doorbell", "sprinkler", "freezer"]
STATEMENTS = [
    "{subject} started after {small} s", "{subject} stopped: code {small}", "{subject} did not answer at 10.0.0.{byte}:{number}",
    "{subject} reports {small}.{small} degrees", "value of {subject} changed from {small} to {byte}",
    "saving state of {subject} to /var/lib/{subject}/{number}.json", "{subject} joined as {hex}", "{subject} left, {number} bytes",
    "timeout of {small} ms for {subject}", "{subject} needs attention since {small}:{small}", "reading {subject} took {small}.{small}s",
    "retry {small} for {subject}", "{subject} is back", "update {number} for {subject} installed", "user {small} opened {subject}",
    "{subject}: checksum {hex} does not match", "schedule {number} of {subject} begins", "schedule {number} of {subject} ends",
    "{subject} uses {number} W", "calibrated {subject} in {small} steps",
]
# Each statement with each subject: what is learned is the words, so these are apart.
TEXTS = [statement.replace("{subject}", subject) for statement in STATEMENTS for subject in SUBJECTS]


def wear(process):
    """Bytes by name of thread; the process's own sum holds what ended threads wrote too."""
    found = {}
    for thread in os.listdir(f"/proc/{process}/task"):
        base = f"/proc/{process}/task/{thread}"
        with open(base + "/comm") as name, open(base + "/io") as file:
            values = dict(line.split(": ") for line in file.read().splitlines())
            found[name.read().strip()] = int(values["write_bytes"]) - int(values["cancelled_write_bytes"])
    with open(f"/proc/{process}/io") as file:
        values = dict(line.split(": ") for line in file.read().splitlines())
    return int(values["write_bytes"]) - int(values["cancelled_write_bytes"]), found


def spilled(connection):
    """Batches that went to the disk because PostgreSQL took longer than it is given: what a busy machine adds."""
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return sum(int(line.split()[-1]) for line in text.splitlines() if line.startswith("logboom_batches_spilled_total"))


def ask(connection, method, path, body=None):
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in (200, 202):
        sys.exit(f"{method} {path}: {answer.status} {text[:500]!r}")
    return json.loads(text)


class Sender:
    """So many logs a second, in turn a request and a line of the journal."""

    def __init__(self, connection, journal):
        self.connection, self.journal = connection, journal
        self.chance = random.Random(1)
        self.count = 0
        self.texts = list(TEXTS)
        self.began = time.monotonic()
        self.learned = 0

    def text(self):
        minutes = (time.monotonic() - self.began) / 60
        if minutes // 5 > self.learned:
            self.learned += 1
            words = ["".join(self.chance.choice("abcdefghiklmnoprstuvw") for _ in range(7)) for _ in range(4)]
            self.texts.append(" ".join(words) + " {number}")
            return self.texts[-1]
        # All of them are there within the first minute.
        return self.texts[self.count % len(self.texts)] if self.count < len(TEXTS) else self.chance.choice(self.texts)

    def send_for(self, seconds):
        chance = self.chance
        began, first = time.monotonic(), self.count
        while (now := time.monotonic()) - began < seconds:
            due = began + (self.count - first) / options.rate
            if due > now:
                time.sleep(due - now)
            message = self.text().format(
                byte=chance.randrange(256), small=chance.randrange(100), number=chance.randrange(1_000_000),
                hex="%08x" % chance.getrandbits(32))
            # One in ten is an error, whose sender waits until it is durable: at PostgreSQL, which is there.
            is_error = self.count % 20 < 2
            if self.count % 2 == 0:
                ask(self.connection, "POST", "/ingest", json.dumps(
                    {"message": message, "source": chance.choice(SOURCES), "level": "error" if is_error else "info"}))
            else:
                source = chance.choice(SOURCES)
                micros = int(time.time() * 1_000_000)
                self.journal.write(
                    f"__REALTIME_TIMESTAMP={micros}\n__MONOTONIC_TIMESTAMP={time.monotonic_ns() // 1000}\n"
                    f"_BOOT_ID={'b' * 32}\n_TRANSPORT=stdout\nPRIORITY={3 if is_error else 6}\nSYSLOG_IDENTIFIER={source}\n"
                    f"_PID=400\n_COMM={source}\n_SYSTEMD_UNIT={source}.service\n_MACHINE_ID={'c' * 32}\n_HOSTNAME=pi\n"
                    f"MESSAGE={message}\n\n".encode())
                self.journal.flush()
            self.count += 1


def kib(value):
    return f"{value / 1024:,.0f} KiB"


def main():
    state = os.path.join(options.folder, "state")
    journal = os.path.join(options.folder, "journal")
    for path in (state, journal):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
    log = open(os.path.join(options.folder, "logboomd.log"), "w+")
    # In memory, as RuntimeDirectory= of the unit is.
    runtime = tempfile.mkdtemp(prefix="logboom-wear-", dir="/dev/shm")
    environment = {
        "PATH": os.environ["PATH"], "LISTEN": f"127.0.0.1:{options.port}", "STATE_DIRECTORY": state,
        "RUNTIME_DIRECTORY": runtime, "JOURNAL": "on", "JOURNAL_DIRECTORY": journal,
        # As in the unit file.
        "MALLOC_ARENA_MAX": "1",
    } | fresh_database(options)
    maker = subprocess.Popen([TOOL, "--output=" + os.path.join(journal, "system.journal"), "-"], stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    daemon = None
    try:
        daemon = subprocess.Popen([options.daemon], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", options.port, timeout=30)
            try:
                ask(connection, "GET", "/readyz")
                ask(connection, "GET", "/health/db")
                break
            except (OSError, SystemExit):
                if daemon.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    sys.exit("logboomd is not ready after 20 s:\n" + log.read()[-4000:])
                time.sleep(0.1)
        sender = Sender(connection, maker.stdin)
        # The first minute belongs to the start: patterns are new, statements are prepared.
        sender.send_for(60)
        start, _ = wear(daemon.pid)
        print(f"started, and a minute: {kib(start)} written", flush=True)
        began, before, last = time.monotonic(), start, {}
        for minute in range(5, options.minutes + 5, 5):
            sender.send_for(60 * min(5, options.minutes - minute + 5))
            now, threads = wear(daemon.pid)
            print(f"minute {min(minute, options.minutes)}: {kib(now - start)} since, of these {kib(now - before)} in the last part "
                  f"({', '.join(f'{name} {kib(value)}' for name, value in threads.items() if value != last.get(name, 0)) or 'none'})",
                  flush=True)
            before, last = now, threads
        elapsed = time.monotonic() - began
        steady = before - start
        deadline = time.monotonic() + 20
        while True:
            ask(connection, "POST", "/flush")
            stored = int(sql(options, "SELECT coalesce(sum(count), 0) FROM aggregated_logs"))
            if stored >= sender.count or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        late = spilled(connection)
        patterns = sql(options, "SELECT count(DISTINCT message_pattern) FROM aggregated_logs")
        daemon.terminate()
        _, _, usage = os.wait4(daemon.pid, 0)
        daemon.returncode = 0
        # In blocks of 512 bytes, from the same account (getrusage(2)).
        stop = usage.ru_oublock * 512 - before
        per_day = steady / elapsed * DAY
        print(f"{sender.count} logs at {options.rate} a second, half of them by the journal; {stored} in PostgreSQL, "
              f"{patterns} patterns; {elapsed / 60:.1f} min measured.")
        print(f"{late} batches were put on the disk because PostgreSQL did not answer in time.")
        print(f"{per_day / 1e6:.2f} MB a day, and {(start + stop) / 1e6:.2f} MB for each start and stop.")
        if stored != sender.count:
            sys.exit("Not all are there.")
        if per_day + start + stop > 5e6:
            sys.exit("With one start and stop that is more than 5 MB a day.")
    finally:
        if daemon is not None and daemon.returncode is None:
            daemon.kill()
            daemon.wait()
        maker.stdin.close()
        maker.wait(30)
        shutil.rmtree(runtime, ignore_errors=True)
        log.close()


main()
