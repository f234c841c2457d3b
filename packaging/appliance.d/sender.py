#!/usr/bin/env python3
"""sender.py RATE SECONDS [RECORD]: posts single records as small programs do, half of them on a new connection each, half on
connections kept alive, and tells as JSON what became of them: sent, acknowledged, durable (of these, the errors, which are
answered only once they are on a disk), errors, slowest (seconds).

Ends early, in order, on SIGTERM. A request is never sent twice: what was acknowledged must be counted once, and without an
error nothing else may be. With RECORD the figures stand in that file too, on the disk before each request and after each
answer: they outlive whatever ends the machine.
"""

import http.client
import json
import os
import select
import signal
import sys
import threading
import time

RATE, SECONDS, PORT = float(sys.argv[1]), float(sys.argv[2]), 8004
RECORD = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if len(sys.argv) > 3 else None
THREADS = 8
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
lock = threading.Lock()
result = {"sent": 0, "acknowledged": 0, "durable": 0, "errors": 0, "first_errors": [], "slowest": 0.0}


def record():
    """With the lock held. One line of one length, so that no older one shows behind it."""
    if RECORD is not None:
        os.pwrite(RECORD, json.dumps({name: result[name] for name in ("sent", "acknowledged", "durable")}).ljust(80).encode(), 0)
        os.fdatasync(RECORD)


def run(number):
    kept_alive = number % 2 == 0
    connection = None
    pause = THREADS / RATE
    begin = time.monotonic() + pause * number / THREADS
    end = begin + SECONDS
    count = 0
    while not stop.is_set():
        due = begin + count * pause
        now = time.monotonic()
        if due >= end or now >= end:
            break
        if due > now:
            stop.wait(due - now)
            if stop.is_set():
                break
        elif now - due > 1:
            # Behind after a wait: go on at the same rate instead of catching up in a burst.
            begin += now - due
        # Every tenth is an error, which is answered only once it is durable.
        level = "error" if count % 10 == 0 else "info"
        body = json.dumps({"message": f"sender {number} says {count}", "level": level, "source": "sender"})
        headers = {"Content-Type": "application/json"}
        if not kept_alive:
            headers["Connection"] = "close"
        with lock:
            result["sent"] += 1
            record()
        problem, began = None, time.monotonic()
        try:
            # Closed while nobody used it: every client's pool looks (Node's Agent, urllib3), http.client alone does not.
            if connection is not None and connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
                connection.close()
                connection = None
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
            connection.request("POST", "/ingest", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status not in (200, 202):
                problem = f"{answer.status} {text[:200]!r}"
            if not kept_alive or answer.getheader("Connection", "").lower() == "close":
                connection.close()
                connection = None
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            connection = None
        took = time.monotonic() - began
        count += 1
        with lock:
            result["slowest"] = max(result["slowest"], round(took, 3))
            if problem is None:
                result["acknowledged"] += 1
                result["durable"] += level == "error"
                record()
            else:
                result["errors"] += 1
                if len(result["first_errors"]) < 5:
                    result["first_errors"].append(f"kept alive: {kept_alive}, after {took:.3f} s: {problem}")


threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(result))
