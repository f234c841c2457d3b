"""Breaks things for packaging/soak, which prepares everything and calls this. Standard library only.

One fault after the other: load begins, the fault comes, lasts and goes, load ends, everything has to drain, and then each
request's logs are counted in PostgreSQL by the source that only this request has. An acknowledged request must be there once;
one whose connection was cut may be there once or not at all. Rows that were counted are deleted, so a night does not fill up.
"""

import argparse
import http.client
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request

parser = argparse.ArgumentParser()
parser.add_argument("--profile", choices=["quick", "hour", "night"], default="quick")
parser.add_argument("--seconds", type=int)
parser.add_argument("--rate", type=int, default=1000)
parser.add_argument("--json", action="store_true")
parser.add_argument("--daemon", required=True)
parser.add_argument("--folder", required=True)
parser.add_argument("--cluster", required=True)
parser.add_argument("--postgres-bin", required=True)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--seed", type=int, default=None)
options = parser.parse_args()

seed = options.seed if options.seed is not None else random.randrange(1 << 32)
chance = random.Random(seed)
LOGS_A_REQUEST = 10
SENDERS = 4
# After a fault: the longest pause between attempts is a minute, a request waits half a minute.
DRAIN_LIMIT = 120


def say(text):
    """Progress, for a person at a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


class Postgres:
    """The private cluster that packaging/soak started."""

    def __init__(self):
        self.data = os.path.join(options.cluster, "data")
        self.socket = os.path.join(options.cluster, "socket")
        self.is_up = True

    def _ctl(self, *arguments):
        drop = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        done = subprocess.run(
            drop + [os.path.join(options.postgres_bin, "pg_ctl"), "-D", self.data, "-w", "-t", "60", "-s",
                    "-l", os.path.join(options.cluster, "server.log"), *arguments],
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
        if done.returncode != 0:
            sys.exit(f"pg_ctl {' '.join(arguments)}: {done.stdout}{done.stderr}")

    def stop(self, mode):
        self._ctl("stop", "-m", mode)
        self.is_up = False

    def start(self):
        if not self.is_up:
            self._ctl("start", "-o", f"-c listen_addresses='' -c unix_socket_directories='{self.socket}'")
            self.is_up = True

    def sql(self, statement):
        command = [os.path.join(options.postgres_bin, "psql"), "-X", "-q", "-h", self.socket, "-U", "postgres",
                   "-d", "logboom", "-v", "ON_ERROR_STOP=1", "-At", "-F", "\t", "-c", statement]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def processes(self):
        """The postmaster and its children."""
        with open(os.path.join(self.data, "postmaster.pid")) as file:
            first = int(file.readline())
        with open(f"/proc/{first}/task/{first}/children") as file:
            return [first] + [int(word) for word in file.read().split()]

    def signal(self, number):
        for process in self.processes():
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass


class Daemon:
    """A logboomd with everything durable, on one port and in one state folder over all its lives."""

    def __init__(self):
        self.state = os.path.join(options.folder, "state")
        shutil.rmtree(self.state, ignore_errors=True)
        os.makedirs(self.state)
        self.log_path = os.path.join(options.folder, "logboomd.log")
        self.process = None
        self.peak = 0
        self.start()

    def start(self):
        environment = {
            "PATH": os.environ["PATH"], "LISTEN": f"127.0.0.1:{options.port}", "STATE_DIRECTORY": self.state,
            "POSTGRES_HOST": os.path.join(options.cluster, "socket"), "POSTGRES_DB": "logboom",
            "POSTGRES_USER": "logboom", "DURABLE_LEVEL": "trace", "LOG_FORMAT": "text",
            # As in the unit file.
            "MALLOC_ARENA_MAX": "1",
        }
        # Anew each life, so that it stays far below the file size limit of a full disk.
        with open(self.log_path, "wb") as log:
            # Signals stay as Python has them, SIGXFSZ ignored: so a file at its limit is an error and not the end.
            self.process = subprocess.Popen([options.daemon], env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, restore_signals=False)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.get("/livez")
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    sys.exit("logboomd does not take requests after 20 s:\n" + self.log()[-3000:])
                time.sleep(0.02)

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def get(self, path, method="GET", timeout=40):
        connection = http.client.HTTPConnection("127.0.0.1", options.port, timeout=timeout)
        try:
            connection.request(method, path)
            return json.loads(connection.getresponse().read())
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{options.port}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.split()[-1])
        sys.exit(f"/metrics has no {name}")

    def note_peak(self):
        try:
            with open(f"/proc/{self.process.pid}/status") as file:
                for line in file:
                    if line.startswith("VmHWM:"):
                        self.peak = max(self.peak, int(line.split()[1]))
        except OSError:
            pass

    def kill(self):
        self.note_peak()
        self.process.kill()
        self.process.wait()

    def terminate(self):
        self.note_peak()
        self.process.terminate()
        status = self.process.wait(15)
        if status != 0:
            sys.exit(f"after SIGTERM logboomd ended with {status}:\n" + self.log()[-3000:])

    def limit_files(self, byte_count):
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (byte_count, resource.RLIM_INFINITY))


class Load:
    """Senders that post, wait for the answer, and note what became of each request."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.lock = threading.Lock()
        self.number = 0
        self.acknowledged = []
        self.undecided = []
        self.refused = 0
        self.strange = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def _next(self):
        with self.lock:
            self.number += 1
            return f"{self.prefix}-{self.number}"

    def _run(self):
        pause = LOGS_A_REQUEST * SENDERS / options.rate
        connection = None
        while not self.stopping.is_set():
            began = time.monotonic()
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", options.port, timeout=60)
                try:
                    connection.connect()
                except OSError:
                    connection = None
                    time.sleep(0.02)
                    continue
            source = self._next()
            records = [{"message": f"request {index} took {index * 7} ms", "level": "INFO", "source": source}
                       for index in range(LOGS_A_REQUEST)]
            try:
                connection.request("POST", "/ingest", json.dumps(records), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = None
                with self.lock:
                    self.undecided.append(source)
                continue
            with self.lock:
                if answer.status in (200, 202):
                    self.acknowledged.append(source)
                elif answer.status == 503:
                    # Counted in memory, or turned away by a stop: either way nobody was told that it is safe.
                    self.undecided.append(source)
                elif answer.status == 429:
                    self.refused += 1
                else:
                    self.strange.append(f"{answer.status} {text[:200]}")
            self.stopping.wait(max(0, pause - (time.monotonic() - began)))

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(70)
            if thread.is_alive():
                sys.exit("a request had no answer for more than a minute")


class Row:
    """What one kind of fault did, over all its times."""

    def __init__(self, name):
        self.name = name
        self.times = 0
        self.sent = self.acknowledged = self.found = self.lost = self.twice = 0
        self.peak = 0
        self.drain = 0.0

    def values(self):
        return {
            "fault": self.name, "times": self.times, "sent": self.sent, "acknowledged": self.acknowledged,
            "found": self.found, "lost": self.lost, "twice": self.twice, "peak_rss_mb": round(self.peak / 1024, 1),
            "drain_s": round(self.drain, 2),
        }


# ---- faults: each breaks something for about `hold` seconds, mends it, and returns how many times it did

def nothing(daemon, postgres, hold):
    time.sleep(hold)
    return 0


def stop_fast(daemon, postgres, hold):
    postgres.stop("fast")
    time.sleep(hold)
    postgres.start()
    return 1


def stop_immediate(daemon, postgres, hold):
    postgres.stop("immediate")
    time.sleep(hold)
    postgres.start()
    return 1


def terminate_sessions(daemon, postgres, hold):
    times = 0
    end = time.monotonic() + hold
    while time.monotonic() < end:
        postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'logboom'")
        times += 1
        time.sleep(chance.uniform(0.02, 0.4))
    return times


def kill9(daemon, postgres, hold):
    times = 0
    end = time.monotonic() + hold
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.05, 0.8))
        daemon.kill()
        daemon.start()
        times += 1
    return times


def kill9_down(daemon, postgres, hold):
    postgres.stop("immediate")
    times = kill9(daemon, postgres, hold)
    postgres.start()
    return times


def restart(daemon, postgres, hold):
    times = 0
    end = time.monotonic() + hold
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.3, 1))
        daemon.terminate()
        daemon.start()
        times += 1
    return times


def restart_down(daemon, postgres, hold):
    postgres.stop("fast")
    times = restart(daemon, postgres, hold)
    postgres.start()
    return times


def freeze(daemon, postgres, hold):
    """Slow, then half-open: the server's processes stand still and its sockets take bytes."""
    postgres.signal(signal.SIGSTOP)
    try:
        time.sleep(hold)
    finally:
        postgres.signal(signal.SIGCONT)
    return 1


def freeze_and_kill9(daemon, postgres, hold):
    postgres.signal(signal.SIGSTOP)
    try:
        times = kill9(daemon, postgres, hold)
    finally:
        postgres.signal(signal.SIGCONT)
    return times


def disk_full(daemon, postgres, hold):
    """Neither the server nor room in the files: batches stay in memory until one of them is back."""
    postgres.stop("fast")
    time.sleep(hold / 2)
    largest = max(os.path.getsize(os.path.join(daemon.state, name)) for name in os.listdir(daemon.state))
    daemon.limit_files(largest + 4096)
    time.sleep(hold / 2)
    if daemon.metric('logboom_spill_failures_total{lane="store"}') == 0:
        sys.exit("the spool took everything: the disk was never full")
    daemon.limit_files(resource.RLIM_INFINITY)
    postgres.start()
    return 1


FAULTS = [
    ("none", nothing), ("PostgreSQL stopped, fast", stop_fast), ("PostgreSQL stopped, immediate", stop_immediate),
    ("sessions terminated", terminate_sessions), ("kill -9", kill9), ("kill -9, PostgreSQL away", kill9_down),
    ("SIGTERM and start", restart), ("SIGTERM and start, PostgreSQL away", restart_down),
    ("PostgreSQL frozen", freeze), ("PostgreSQL frozen, kill -9", freeze_and_kill9),
    ("disk full, PostgreSQL away", disk_full),
]


def drain_backlog(daemon):
    """Under load: waits until the sink is up and the backlog is gone; the seconds it took, `None` when it does not come to that."""
    began = time.monotonic()
    while time.monotonic() - began < DRAIN_LIMIT:
        try:
            stats = daemon.get("/stats")
            if stats["records"]["spooled"] == 0 and stats["lanes"]["store"]["state"] == "up":
                return time.monotonic() - began
        except OSError:
            pass
        time.sleep(0.02)
    return None


def drain(daemon):
    """Without load: waits until PostgreSQL has everything; whether it came to that."""
    began = time.monotonic()
    while time.monotonic() - began < DRAIN_LIMIT:
        try:
            records = daemon.get("/stats")["records"]
        except OSError:
            time.sleep(0.05)
            continue
        parts = ["delivered", "spooled", "dead_lettered", "dropped", "in_flight"]
        if records["accepted"] != sum(records[part] for part in parts):
            sys.exit(f"the sums of /stats do not hold: {records}")
        if records["in_flight"] == 0 and records["spooled"] == 0:
            if records["dead_lettered"] or records["dropped"]:
                sys.exit(f"something was set aside or dropped: {records}")
            return True
        time.sleep(0.02)
    return False


def play(number, name, fault, row, daemon, postgres, hold):
    prefix = f"soak-{seed}-{number}"
    load = Load(prefix)
    time.sleep(1)
    row.times += fault(daemon, postgres, hold)
    took = drain_backlog(daemon)
    time.sleep(1)
    load.stop()
    is_drained = drain(daemon)
    daemon.note_peak()
    if took is None or not is_drained:
        sys.exit(f"{name}: not drained after {DRAIN_LIMIT} s; /stats: {daemon.get('/stats')}\n{daemon.log()[-3000:]}")
    if load.strange:
        sys.exit(f"{name}: strange answers: {load.strange[:5]}")
    counted = {source: int(count) for source, count in postgres.sql(
        f"SELECT source, sum(count) FROM aggregated_logs WHERE source LIKE '{prefix}-%' GROUP BY source")}
    acknowledged = set(load.acknowledged)
    row.sent += load.number * LOGS_A_REQUEST
    row.acknowledged += len(acknowledged) * LOGS_A_REQUEST
    row.found += sum(counted.values())
    row.lost += sum(max(0, LOGS_A_REQUEST - counted.get(source, 0)) for source in acknowledged)
    row.twice += sum(max(0, count - LOGS_A_REQUEST) for count in counted.values())
    row.drain = max(row.drain, took)
    row.peak = max(row.peak, daemon.peak)
    daemon.peak = 0
    postgres.sql(f"DELETE FROM aggregated_logs WHERE source LIKE '{prefix}-%'")


def table(rows):
    print("| fault | times | logs sent | acknowledged | found | lost | twice | peak RSS MB | longest drain s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        print(f"| {row.name} | {row.times} | {row.sent:,} | {row.acknowledged:,} | {row.found:,} | {row.lost} | {row.twice} "
              f"| {row.peak / 1024:.1f} | {row.drain:.2f} |")


def main():
    postgres = Postgres()
    daemon = Daemon()
    rows = [Row(name) for name, _ in FAULTS]
    length = options.seconds or {"quick": 0, "hour": 3600, "night": 8 * 3600}[options.profile]
    began = time.monotonic()
    number = 0
    try:
        while number < len(FAULTS) or time.monotonic() - began < length:
            name, fault = FAULTS[number % len(FAULTS)]
            row = rows[number % len(FAULTS)]
            hold = 4 if length == 0 else chance.choice([2, 5, 15, 40])
            elapsed = time.monotonic() - began
            say(f"{elapsed:6.0f} s  {name}, {hold} s")
            play(number, name, fault, row, daemon, postgres, hold)
            number += 1
            if options.seconds and time.monotonic() - began >= options.seconds:
                break
    finally:
        say("")
        postgres.start()
        if daemon.process.poll() is None:
            daemon.process.terminate()
            try:
                daemon.process.wait(10)
            except subprocess.TimeoutExpired:
                daemon.process.kill()
    rows = [row for row in rows if row.sent]
    seconds = time.monotonic() - began
    if options.json:
        print(json.dumps({"profile": options.profile, "seed": seed, "seconds": round(seconds),
                          "rows": [row.values() for row in rows]}, indent=2))
    else:
        table(rows)
        print(f"\n{number} faults in turn, {seconds:.0f} s, {options.rate} logs/s at most, DURABLE_LEVEL=trace, seed {seed}.")
    bad = [row.name for row in rows if row.lost or row.twice]
    if bad:
        sys.exit(f"Logs are lost or there twice: {', '.join(bad)}.")


signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
main()
