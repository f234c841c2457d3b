"""Takes the measurements of packaging/bench memory, crowd, short and tls, which prepares everything and calls this: what many, large,
slow, short and encrypted connections take. Standard library only.

Every row starts a fresh daemon with an empty state folder. Rates of one table come from one run, beside nginx in turns.
"""

import argparse
import gzip
import json
import os
import random
import resource
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

from daemon import add_options, fresh_database
from process import IDLE_AFTER, cpu_seconds, end, fields

HERE = os.path.dirname(os.path.abspath(__file__))

parser = argparse.ArgumentParser()
parser.add_argument("--what", choices=["memory", "crowd", "short", "tls"], required=True)
parser.add_argument("--seconds", type=int, default=8)
parser.add_argument("--runs", type=int, default=3)
add_options(parser)
parser.add_argument("--nginx-port", type=int, required=True)
parser.add_argument("--nginx-tls-port", type=int, required=True)
parser.add_argument("--nginx-pid", type=int, required=True)
parser.add_argument("--swift", default="")
options = parser.parse_args()


class Daemon:
    """A logboomd of its own: on PostgreSQL, or with the embedded store and nothing that waits for a disk."""

    def __init__(self, has_postgres=False, **more):
        self.state = os.path.join(options.folder, "state")
        shutil.rmtree(self.state, ignore_errors=True)
        os.makedirs(self.state)
        self.url = f"http://127.0.0.1:{options.port}"
        self.log = open(os.path.join(options.folder, "logboomd.log"), "w+")
        environment = {"PATH": os.environ["PATH"], "LISTEN": f"127.0.0.1:{options.port}", "STATE_DIRECTORY": self.state,
                       # As in the unit file.
                       "MALLOC_ARENA_MAX": "1"}
        if has_postgres:
            environment |= fresh_database(options)
        else:
            environment["DURABLE_LEVEL"] = "off"
        self.process = subprocess.Popen([options.daemon], env=environment | more, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        self.proc = f"/proc/{self.process.pid}"
        deadline = time.monotonic() + 20
        while True:
            try:
                self.get("/readyz")
                # Pages that only the start needed are given back five seconds after it.
                time.sleep(6)
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    with open(self.log.name) as log:
                        sys.exit("logboomd is not ready after 20 s:\n" + log.read()[-4000:])
                time.sleep(0.05)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return answer.read()

    def metric(self, name):
        for line in self.get("/metrics").decode().splitlines():
            if line.startswith(name + " "):
                return int(float(line.split()[1]))
        return 0

    def memory(self):
        """Resident and anonymous memory, MB."""
        found = fields(self.proc + "/smaps_rollup")
        return found["Rss"] / 1024, found["Anonymous"] / 1024

    def memory_at_rest(self):
        """The same, when it is as it stays while nothing happens."""
        time.sleep(IDLE_AFTER)
        return self.memory()

    def peak(self):
        return fields(self.proc + "/status")["VmHWM"] / 1024

    def stop(self):
        end(self.process)
        self.log.close()


class PeakAnonymous:
    """Samples RssAnon; VmHWM keeps the peak of the whole by itself."""

    def __init__(self, daemon):
        self.daemon, self.peak, self.stopped = daemon, 0, threading.Event()
        self.thread = threading.Thread(target=self.sample)
        self.thread.start()

    def sample(self):
        while not self.stopped.wait(0.03):
            self.peak = max(self.peak, fields(self.daemon.proc + "/status").get("RssAnon", 0))

    def end(self):
        self.stopped.set()
        self.thread.join()
        return self.peak / 1024


def log(chance):
    n = chance.randrange
    level, source, message = chance.choice([
        ("info", "zigbee2mqtt", f"MQTT publish: topic 'zigbee2mqtt/sensor_{n(80)}', temperature={n(400) / 10} humidity={n(100)}"),
        ("info", "nginx", f"192.168.1.{n(254)} GET /api/states/{n(9000)} 200 {n(90000)} bytes in {n(400)} ms"),
        ("debug", "gateway", f"request {n(2**48):012x} took {n(900)} ms"),
        ("info", "auth-service", f"User {n(100000)} logged in from 10.0.{n(255)}.{n(255)}"),
        ("warn", "sshd", f"Failed password for admin from 203.0.113.{n(254)} port {n(60000)} ssh2"),
        ("error", "kernel", f"[{n(900000)}.{n(999999):06d}] mmc0: timeout waiting for hardware interrupt"),
    ])
    return (f'{{"timestamp":"2026-04-{n(28) + 1:02d}T{n(24):02d}:{n(60):02d}:{n(60):02d}.{n(1000):03d}Z","level":"{level}",'
            f'"source":"{source}","host":"pi-{n(8):02d}","message":"{message}"}}')


def write_bodies(batch, coding):
    path = os.path.join(options.folder, "bodies")
    chance = random.Random(1)
    with open(path, "wb") as file:
        for _ in range(8 if batch >= 1000 else 32 if batch >= 100 else 256):
            text = log(chance) if batch == 1 else '{"logs":[' + ",".join(log(chance) for _ in range(batch)) + "]}"
            body = gzip.compress(text.encode(), 6) if coding else text.encode()
            file.write(b"%d\n" % len(body) + body)
    return path, len(body)


def wrk(url, connections, *, bodies=None, coding=None, closes=False, seconds=None):
    environment = {"PATH": os.environ["PATH"], "ERRORS": "no", "BATCH": "1"}
    if bodies:
        environment["BODIES"] = bodies
    if coding:
        environment["CODING"] = coding
    if closes:
        environment["CLOSE"] = "yes"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds or options.seconds}s", "--timeout", "30s",
               "-s", os.path.join(HERE, "ingest.lua"), url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=options.seconds + 120)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line[7:])
    sys.exit("wrk gave no result:\n" + done.stdout + done.stderr)


def table(title, *columns):
    print(f"\n| {title} | " + " | ".join(columns) + " |\n| --- |" + " ---: |" * len(columns), flush=True)


def spread(values, form="{:,.0f}"):
    middle, low, high = (form.format(value) for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


# ---- memory


def memory():
    table("flat out, on PostgreSQL", "body, kB", "logs/s", "p99 ms", "idle RSS / anonymous MB", "peak RSS / anonymous MB",
          "30 s after, RSS / anonymous MB", "refused, errors")
    missed = []
    daemon = Daemon(has_postgres=True)
    try:
        idle = daemon.memory_at_rest()
    finally:
        daemon.stop()
    rows = [(16, 1000, None), (64, 1000, None), (900, 100, None), (900, 1, None), (16, 1000, "gzip"), (64, 1000, "gzip"),
            (16, 35_000, None), (16, 35_000, "gzip")]
    for connections, batch, coding in rows:
        bodies, byte_count = write_bodies(batch, coding)
        daemon = Daemon(has_postgres=True)
        try:
            anonymous = PeakAnonymous(daemon)
            result = wrk(daemon.url + "/ingest/batch", connections, bodies=bodies, coding=coding)
            anonymous = anonymous.end()
            peak = daemon.peak()
            time.sleep(30)
            after = daemon.memory()
            label = f"{connections} connections, {batch:,} a request" + (f", {coding}" if coding else "")
            print(f"| {label} | {byte_count / 1000:.1f} | {result['requests'] * batch / result['seconds']:,.0f} "
                  f"| {result['p99_ms']:.0f} | {idle[0]:.1f} / {idle[1]:.1f} | {peak:.1f} / {anonymous:.1f} "
                  f"| {after[0]:.1f} / {after[1]:.1f} | {result['refused']}, {result['socket_errors']} |", flush=True)
            if peak > 32:
                missed.append(f"peak at most 32 MB: {label}")
            if after[0] > idle[0] * 1.15:
                missed.append(f"within 15 % of idle after 30 s: {label}")
        finally:
            daemon.stop()
    print("\nGoals missed: " + ("; ".join(missed) or "none"))


# ---- crowd


def connect(port=options.port):
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def post(connection, body):
    """Posts and reads the answer; the status."""
    connection.sendall(b"POST /ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                       b"Content-Length: %d\r\n\r\n" % len(body) + body)
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < 40:
        part = connection.recv(4096)
        if not part:
            raise ConnectionError("the connection ended")
        answer += part
    return int(answer[9:12])


def is_open(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def normal_sender(seconds, batch=100):
    """One sender of batches, as fast as it is answered, on one connection: latencies in ms."""
    chance = random.Random(2)
    body = ('{"logs":[' + ",".join(log(chance) for _ in range(batch)) + "]}").encode()
    connection, times, failures = connect(), [], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            failures += post(connection, body) != 202
        except OSError:
            failures += 1
            connection = connect()
        times.append((time.monotonic() - began) * 1000)
    times.sort()
    return len(times) / seconds, times[len(times) // 2], times[len(times) * 99 // 100], times[-1], failures


def crowd():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    table("a sender of batches of 100 beside", "requests/s", "p50 / p99 / longest ms", "failures", "evicted, refused",
          "given up", "peak RSS / anonymous MB")

    def row(label, daemon, anonymous, figures):
        rate, middle, late, longest, failures = figures
        print(f"| {label} | {rate:,.0f} | {middle:.1f} / {late:.1f} / {longest:.0f} | {failures} "
              f"| {daemon.metric('logboom_http_connections_evicted_total')}, "
              f"{daemon.metric('logboom_http_connections_refused_total')} "
              f"| {daemon.metric('logboom_http_slow_bodies_total') + daemon.metric('logboom_http_request_timeouts_total')} "
              f"| {daemon.peak():.1f} / {anonymous:.1f} |", flush=True)

    def run(label, work):
        daemon = Daemon()
        try:
            anonymous = PeakAnonymous(daemon)
            try:
                figures = work(daemon)
            finally:
                anonymous = anonymous.end()
            row(label, daemon, anonymous, figures)
        finally:
            daemon.stop()

    def idle(daemon):
        held = [connect() for _ in range(10_000)]
        figures = normal_sender(options.seconds)
        still = sum(is_open(connection) for connection in held)
        if still > 1024:
            sys.exit(f"{still} of 10,000 idle connections are open, past the bound of 1,024")
        for connection in held:
            connection.close()
        return figures

    def flood(daemon):
        stopped = threading.Event()

        def connecting():
            held = []
            while not stopped.is_set():
                try:
                    held.append(connect())
                except OSError:
                    pass
                if len(held) > 2000:
                    held.pop(0).close()

        threads = [threading.Thread(target=connecting) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            return normal_sender(options.seconds)
        finally:
            stopped.set()
            for thread in threads:
                thread.join()

    def trickle(count):
        def work(daemon):
            head = b"POST /ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % count
            held = [connect() for _ in range(1000)]
            for connection in held:
                connection.sendall(head)
                connection.setblocking(False)
            stopped = threading.Event()

            def trickling():
                while not stopped.wait(1):
                    for place, connection in enumerate(held):
                        try:
                            connection.send(b" ")
                        except OSError:
                            # Given up: the next one takes its place.
                            connection.close()
                            try:
                                held[place] = connect()
                                held[place].sendall(head)
                                held[place].setblocking(False)
                            except OSError:
                                pass

            thread = threading.Thread(target=trickling)
            thread.start()
            try:
                return normal_sender(max(options.seconds, 15))
            finally:
                stopped.set()
                thread.join()
        return work

    run("nobody", lambda daemon: normal_sender(options.seconds))
    run("10,000 idle connections", idle)
    run("a flood of connections, two threads", flood)
    run("1,000 bodies of 100 kB, a byte a second", trickle(100_000))
    run("1,000 bodies of 8 MB, a byte a second", trickle(8_000_000))


# ---- short and encrypted connections


def in_turns(label, ours, nginx, process, **load):
    """Rates of both in turns, and processor time a request."""
    rates, ratios, cpu, theirs, errors = [], [], [], [], 0
    for _ in range(options.runs):
        before = cpu_seconds(options.nginx_pid)
        other = wrk(nginx, 16, **load)
        theirs.append((cpu_seconds(options.nginx_pid) - before) / max(1, other["requests"]) * 1e6)
        before = cpu_seconds(process)
        result = wrk(ours, 16, **load)
        cpu.append((cpu_seconds(process) - before) / max(1, result["requests"]) * 1e6)
        rates.append(result["requests"] / result["seconds"])
        ratios.append(rates[-1] / (other["requests"] / other["seconds"]))
        errors += result["socket_errors"] + result["refused"]
    print(f"| {label} | {spread(rates)} | {statistics.median(ratios):.2f} | {statistics.median(cpu):.0f} "
          f"| {statistics.median(theirs):.0f} | {errors} |", flush=True)


def short():
    daemon = Daemon()
    try:
        table("one log a request, 16 senders", "requests/s", "of nginx", "processor µs a request", "nginx's", "errors")
        nginx = f"http://127.0.0.1:{options.nginx_port}/ingest"
        in_turns("a connection each", daemon.url + "/ingest", nginx, daemon.process.pid, closes=True)
        in_turns("kept alive", daemon.url + "/ingest", nginx, daemon.process.pid)
    finally:
        daemon.stop()


def tls():
    certificate, key = os.path.join(options.folder, "tls.pem"), os.path.join(options.folder, "tls.key")
    port = options.port + 1
    daemon = Daemon(LISTEN=f"127.0.0.1:{options.port},tls:127.0.0.1:{port}", TLS_CERTIFICATE=certificate, TLS_KEY=key)
    try:
        ours, nginx = f"https://127.0.0.1:{port}/ingest", f"https://127.0.0.1:{options.nginx_tls_port}/ingest"
        resident, anonymous = daemon.memory_at_rest()
        print(f"\nIdle, with TLS on: {resident:.1f} MB resident, {anonymous:.1f} MB anonymous.")
        table("one log a request, 16 senders, TLS 1.3, P-256", "requests/s", "of nginx", "processor µs a request", "nginx's",
              "errors")
        in_turns("kept alive", ours, nginx, daemon.process.pid)
        # wrk resumes no session: a whole handshake each.
        in_turns("a connection each", ours, nginx, daemon.process.pid, closes=True)

        context = ssl.create_default_context(cafile=certificate)
        context.check_hostname = False
        idle, held = daemon.memory()[1], []
        for _ in range(200):
            held.append(context.wrap_socket(connect(port)))
        post(held[0], log(random.Random(3)).encode())
        print(f"\n200 connections: {(daemon.memory()[1] - idle) * 1024 / 200:.0f} kB of anonymous memory each.")
        for connection in held:
            connection.close()

        # A flood of handshakes that never end, beside a sender who came before.
        sender = context.wrap_socket(connect(port))
        stopped = threading.Event()
        hello = client_hello(context)
        begun = [0]

        def flooding():
            waiting = []
            while not stopped.is_set():
                try:
                    connection = connect(port)
                    connection.sendall(hello)
                    begun[0] += 1
                    waiting.append(connection)
                except OSError:
                    pass
                if len(waiting) > 300:
                    waiting.pop(0).close()

        body, times = log(random.Random(4)).encode(), []
        thread = threading.Thread(target=flooding)
        before = cpu_seconds(daemon.process.pid)
        thread.start()
        failures, end = 0, time.monotonic() + options.seconds
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                post(sender, body)
            except OSError:
                failures += 1
                sender = context.wrap_socket(connect(port))
            times.append((time.monotonic() - began) * 1000)
        stopped.set()
        thread.join()
        cpu = (cpu_seconds(daemon.process.pid) - before) / options.seconds
        times.sort()
        print(f"A flood of handshakes, one thread: {begun[0] / options.seconds:,.0f} begun a second, {cpu:.2f} of a core; a sender "
              f"kept alive beside it is answered in {times[len(times) // 2]:.1f} / {times[len(times) * 99 // 100]:.1f} ms "
              f"(p50 / p99), {failures} failures. Peak {daemon.peak():.1f} MB.")
    finally:
        daemon.stop()


def client_hello(context):
    """The first bytes of a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


{"memory": memory, "crowd": crowd, "short": short, "tls": tls}[options.what]()
