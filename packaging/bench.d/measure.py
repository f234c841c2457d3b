"""Takes the measurements of packaging/bench, which prepares everything and calls this. Standard library only.

Every row: nginx and logboomd in turn get the same bodies from the same wrk, a fresh daemon with an empty state folder
and an empty database each time. Numbers of one table come from one run; the middle one of several runs is shown.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

from daemon import add_options, fresh_database, sql
from process import IDLE_AFTER, cpu_seconds, end, fields

HERE = os.path.dirname(os.path.abspath(__file__))
CONNECTIONS = 16

parser = argparse.ArgumentParser()
parser.add_argument("--what", choices=["idle", "single", "batch", "all"], default="all")
parser.add_argument("--seconds", type=int, default=8)
parser.add_argument("--runs", type=int, default=3)
add_options(parser)
parser.add_argument("--nginx-port", type=int, required=True)
parser.add_argument("--swift", required=True)
options = parser.parse_args()


class Daemon:
    """A logboomd of its own, on PostgreSQL, with the spool ready: the way it runs in service."""

    def __init__(self):
        self.state = os.path.join(options.folder, "state")
        shutil.rmtree(self.state, ignore_errors=True)
        os.makedirs(self.state)
        self.url = f"http://127.0.0.1:{options.port}"
        self.log = open(os.path.join(options.folder, "logboomd.log"), "w+")
        environment = {
            "PATH": os.environ["PATH"], "LISTEN": f"127.0.0.1:{options.port}", "STATE_DIRECTORY": self.state,
            # As in the unit file.
            "MALLOC_ARENA_MAX": "1",
        } | fresh_database(options)
        self.process = subprocess.Popen(
            [options.daemon], env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.proc = f"/proc/{self.process.pid}"
        self.peak_anonymous = 0
        self.sampling = threading.Event()
        try:
            self._wait_until_connected()
        except BaseException:
            self.stop()
            raise

    def _wait_until_connected(self):
        deadline = time.monotonic() + 20
        while True:
            try:
                self.get("/readyz")
                self.get("/health/db")
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.log.seek(0)
                    sys.exit("logboomd is not ready and connected to PostgreSQL after 20 s:\n" + self.log.read()[-4000:])
                time.sleep(0.05)

    def get(self, path, method="GET"):
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def context_switches(self):
        total = 0
        for thread in os.listdir(self.proc + "/task"):
            with open(f"{self.proc}/task/{thread}/status") as file:
                total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
        return total

    def watch_anonymous(self):
        """Samples RssAnon until told to stop. VmHWM keeps the peak of the whole by itself; the kernel keeps none of this."""
        def sample():
            while not self.sampling.wait(0.05):
                self.peak_anonymous = max(self.peak_anonymous, fields(self.proc + "/status").get("RssAnon", 0))
        thread = threading.Thread(target=sample)
        thread.start()
        return thread

    def stop(self):
        self.sampling.set()
        end(self.process)
        self.log.close()


def wrk(port, path, batch, seed, has_errors):
    environment = {"PATH": os.environ["PATH"], "BATCH": str(batch), "SEED": str(seed),
                   "ERRORS": "yes" if has_errors else "no"}
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{options.seconds}s", "--timeout", "10s",
               "-s", os.path.join(HERE, "ingest.lua"), f"http://127.0.0.1:{port}{path}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=options.seconds + 60)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line[7:])
    sys.exit("wrk gave no result:\n" + done.stdout + done.stderr)


def idle():
    daemon = Daemon()
    try:
        time.sleep(IDLE_AFTER)
        memory = fields(daemon.proc + "/smaps_rollup")
        cpu, switches, began = cpu_seconds(daemon.process.pid), daemon.context_switches(), time.monotonic()
        time.sleep(20)
        elapsed = time.monotonic() - began
        return {
            "rss": memory["Rss"] / 1024, "anonymous": memory["Anonymous"] / 1024, "pss": memory["Pss"] / 1024,
            "threads": len(os.listdir(daemon.proc + "/task")),
            "wakeups": (daemon.context_switches() - switches) / elapsed,
            "cpu_ms": (cpu_seconds(daemon.process.pid) - cpu) * 1000 / elapsed,
        }
    finally:
        daemon.stop()


def load(path, batch, seed, has_errors):
    """One run: nginx first, then the daemon with the same bodies, then the accounts."""
    ceiling = wrk(options.nginx_port, path, batch, seed, has_errors)
    daemon = Daemon()
    try:
        sampler = daemon.watch_anonymous()
        before = cpu_seconds(daemon.process.pid)
        result = wrk(options.port, path, batch, seed, has_errors)
        # wrk hangs up with requests under way; when the count stands still, they have all been taken or dropped.
        accepted, steady = -1, 0
        for _ in range(100):
            now = daemon.get("/stats")["records"]["accepted"]
            steady = steady + 1 if now == accepted else 0
            accepted = now
            if steady == 2:
                break
            time.sleep(0.1)
        daemon.get("/flush", method="POST")
        began = time.monotonic()
        stored = int(sql(options, "SELECT coalesce(sum(count), 0) FROM aggregated_logs"))
        while stored != accepted and time.monotonic() - began < 30:
            time.sleep(0.25)
            stored = int(sql(options, "SELECT coalesce(sum(count), 0) FROM aggregated_logs"))
        cpu = cpu_seconds(daemon.process.pid) - before
        daemon.sampling.set()
        sampler.join()
        peak = fields(daemon.proc + "/status")["VmHWM"] / 1024
        acknowledged = (result["requests"] - result["refused"]) * batch
        # Accepted but not acknowledged is what was under way when wrk hung up: at most one request a connection.
        accounted = stored == accepted and 0 <= accepted - acknowledged <= CONNECTIONS * batch
        return {
            "logs_s": acknowledged / result["seconds"], "requests_s": acknowledged / batch / result["seconds"],
            "nginx_s": ceiling["requests"] / ceiling["seconds"], "cpu": cpu / max(accepted, 1) * 1e6,
            "rss": peak, "anonymous": daemon.peak_anonymous / 1024, "p50": result["p50_ms"], "p99": result["p99_ms"],
            "refused": result["refused"], "errors": result["socket_errors"],
            "acknowledged": acknowledged, "accepted": accepted, "stored": stored, "accounted": accounted,
        }
    finally:
        daemon.stop()


def middle(runs, key):
    return statistics.median(run[key] for run in runs)


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        if done.returncode != 0:
            return ""
        return ((done.stdout or done.stderr).splitlines() or [""])[0].strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def machine():
    model = ""
    for path in ["/proc/device-tree/model", "/proc/cpuinfo"]:
        try:
            with open(path, errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        if path.endswith("model"):
            model = text.strip("\0\n ")
        else:
            model = next((line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line), "")
        if model:
            break
    commit = first_line("git", "rev-parse", "--short", "HEAD") or "no commit"
    dirty = " with changes" if first_line("git", "status", "--porcelain") else ""
    memory = fields("/proc/meminfo")["MemTotal"] / 1024 / 1024
    size = os.path.getsize(options.daemon) / 1e6
    return [
        f"{model or 'unknown processor'}, {platform.machine()}, {os.cpu_count()} cores, {memory:.1f} GiB, "
        f"pages of {os.sysconf('SC_PAGE_SIZE') // 1024} KiB, Linux {platform.release()}",
        f"logboomd {commit}{dirty}, {size:.1f} MB, Swift {options.swift}; {first_line(options.psql, '--version')}; "
        f"{first_line('nginx', '-v').replace('nginx version: ', '')}",
        time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()) + f", {options.runs} runs of {options.seconds} s, "
        f"the middle one shown, {CONNECTIONS} connections kept alive, load generator and PostgreSQL on the same machine",
    ]


def main():
    for line in machine():
        print(line)
    marks = []
    exact = True

    if options.what in ("idle", "all"):
        runs = [idle() for _ in range(options.runs)]
        print(f"\n| idle, {IDLE_AFTER} s after start, PostgreSQL connected, spool open | RSS MB | anonymous MB | PSS MB | threads "
              "| wake-ups/s | CPU ms/s |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        print(f"| logboomd | {middle(runs, 'rss'):.1f} | {middle(runs, 'anonymous'):.1f} | {middle(runs, 'pss'):.1f} "
              f"| {middle(runs, 'threads'):.0f} | {middle(runs, 'wakeups'):.1f} | {middle(runs, 'cpu_ms'):.2f} |",
              flush=True)
        marks.append(("idle RSS at most 16 MB", middle(runs, "rss") <= 16))
        marks.append(("idle anonymous memory at most 4 MB", middle(runs, "anonymous") <= 4))

    rows = []
    if options.what in ("single", "all"):
        # Two rows: the sender of an error waits for a commit, so the second one shows how fast the disk syncs.
        rows.append(("one a request, no errors", "/ingest", 1, False))
        rows.append(("one a request, one in nine an error", "/ingest", 1, True))
    if options.what in ("batch", "all"):
        rows.append(("100 a request", "/ingest/batch", 100, True))
        rows.append(("1 000 a request", "/ingest/batch", 1000, True))
    if rows:
        print("\n| logs | logs/s (lowest to highest) | requests/s | nginx `return 200`, requests/s | of nginx "
              "| p50 / p99 ms | CPU s per million logs | peak RSS / anonymous MB | in PostgreSQL |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for label, path, batch, has_errors in rows:
        runs = [load(path, batch, seed, has_errors) for seed in range(1, options.runs + 1)]
        ratio = statistics.median(run["requests_s"] / run["nginx_s"] for run in runs)
        accounted = all(run["accounted"] for run in runs)
        exact = exact and accounted
        spread = f"{min(run['logs_s'] for run in runs):,.0f} to {max(run['logs_s'] for run in runs):,.0f}"
        total = sum(run["stored"] for run in runs)
        print(f"| {label} | {middle(runs, 'logs_s'):,.0f} ({spread}) | {middle(runs, 'requests_s'):,.0f} "
              f"| {middle(runs, 'nginx_s'):,.0f} | {ratio:.2f} | {middle(runs, 'p50'):.2f} / {middle(runs, 'p99'):.1f} "
              f"| {middle(runs, 'cpu'):.2f} | {max(run['rss'] for run in runs):.1f} / "
              f"{max(run['anonymous'] for run in runs):.1f} "
              f"| {'all ' + format(total, ',') if accounted else 'NOT ALL'} |", flush=True)
        for number, run in enumerate(runs, 1):
            if not run["accounted"]:
                print(f"  run {number}: acknowledged {run['acknowledged']}, accepted {run['accepted']}, "
                      f"in PostgreSQL {run['stored']}")
            if run["refused"] or run["errors"]:
                print(f"  run {number}: {run['refused']} requests refused, {run['errors']} socket errors")
        if batch == 1:
            marks.append((f"single posts at least 0.4 of nginx, {label}", ratio >= 0.4))
        if batch == 100:
            marks.append(("batches of 100 at least 500 000 logs/s", middle(runs, "logs_s") >= 500_000))
        marks.append((f"peak at most 48 MB, {label}", max(run["rss"] for run in runs) <= 48))

    print("\nFirst marks:")
    for text, reached in marks:
        print(f"  {'reached' if reached else 'MISSED '}  {text}")
    if not exact:
        sys.exit("\nSome logs are not accounted for. Nothing else in this table matters until that is mended.")


main()
