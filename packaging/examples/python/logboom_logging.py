"""A logging handler that sends records to Logboom. Standard library only; Python 3.9 or later.

    import logging
    from logboom_logging import LogboomHandler

    logging.getLogger().addHandler(LogboomHandler(source="heating"))

Never blocks the program that logs and never raises into it. While Logboom is away, records wait in memory, at most
`queue_records` of them; beyond that the oldest go, and how many went is sent once Logboom is back. A request that got no
answer is sent again with the same Idempotency-Key, so each record counts once.
"""

import atexit
import collections
import http.client
import json
import logging
import random
import socket
import sys
import threading
import time
import urllib.parse
import uuid

LEVELS = ((50, "fatal"), (40, "error"), (30, "warn"), (20, "info"), (10, "debug"), (0, "trace"))

# What every record has; anything else came in with `extra` and becomes metadata.
KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.socket_path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.socket_path)


class LogboomHandler(logging.Handler):
    def __init__(
        self,
        url="http://127.0.0.1:8004/ingest",  # or "unix:/run/logboom/logboom.sock"
        source="python",
        token="",  # sent as "Authorization: Bearer …" when set
        level=logging.NOTSET,
        queue_records=10_000,
        batch_records=500,
        linger=1.0,  # seconds a record waits for company
        timeout=40.0,  # Logboom itself answers within 30 s
        retry_base=0.25,  # pauses double from here, drawn from zero up (full jitter) ...
        retry_ceiling=30.0,  # ... to here
    ):
        super().__init__(level)
        self.url, self.source, self.token = url, source, token
        self.queue_records, self.batch_records, self.linger = queue_records, batch_records, linger
        self.timeout, self.retry_base, self.retry_ceiling = timeout, retry_base, retry_ceiling
        self.counts = {"queued": 0, "sent": 0, "failed": 0, "dropped": 0, "retries": 0}
        self._queue = collections.deque()
        self._dropped = 0
        self._busy = False  # a batch is under way
        self._urgent = False  # flush() or close() was called
        self._closed = False
        self._change = threading.Condition()
        self._connection = None
        self._thread = threading.Thread(target=self._run, name="logboom", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    # On the threads that log.

    def emit(self, record):
        try:
            text = json.dumps(self._convert(record), default=str)
        except Exception:  # pylint: disable=broad-except
            self.handleError(record)
            return
        with self._change:
            self._queue.append(text)
            self.counts["queued"] += 1
            if len(self._queue) > self.queue_records:
                self._queue.popleft()
                self._dropped += 1
                self.counts["dropped"] += 1
            self._change.notify_all()

    def _convert(self, record):
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + logging.Formatter().formatException(record.exc_info)
        metadata = {name: value for name, value in vars(record).items() if name not in KNOWN}
        metadata["logger"] = record.name
        level = next(name for least, name in LEVELS if record.levelno >= least)
        return {
            "message": message,
            "level": level,
            "source": self.source,
            "timestamp": record.created,
            "metadata": metadata,
        }

    def flush(self, timeout=5.0):
        """Waits until everything was answered, or `timeout` seconds (`None`: for ever); whether it was."""
        with self._change:
            self._urgent = True
            self._change.notify_all()
            done = self._change.wait_for(lambda: not self._queue and not self._busy, timeout)
            self._urgent = self._closed
            return done

    def close(self):
        """Gives what waits five seconds to leave."""
        atexit.unregister(self.close)
        if not self._closed:
            self.flush(5)
        with self._change:
            self._closed = True
            self._change.notify_all()
        super().close()

    # On the handler's own thread.

    def _run(self):
        while True:
            with self._change:
                self._change.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                self._change.wait_for(
                    lambda: self._urgent or self._closed or len(self._queue) >= self.batch_records, self.linger
                )
                batch = self._take()
                self._busy = True
            self._deliver(batch)
            with self._change:
                self._busy = False
                self._change.notify_all()

    def _take(self):
        batch = []
        if self._dropped:
            message = f"{self._dropped} logs were dropped while Logboom was away"
            batch.append(json.dumps({"message": message, "level": "warn", "source": self.source}))
            self._dropped = 0
        while self._queue and len(batch) < self.batch_records:
            batch.append(self._queue.popleft())
        return batch

    def _deliver(self, batch):
        key = str(uuid.uuid4())
        body = ("\n".join(batch) + "\n").encode()
        failures = 0
        while not self._closed:
            retry_after = 0.0
            try:
                status, headers, answer = self._post(body, key)
                reason = f"status {status}"
                if status not in (408, 429) and status < 500:
                    if failures:
                        self._say("Logboom takes logs again")
                    self._count(status, answer, len(batch))
                    return
                if headers.get("Retry-After", "").isdigit():
                    retry_after = float(headers["Retry-After"])
            except (OSError, http.client.HTTPException) as error:
                self._connection = None
                reason = type(error).__name__
            if failures == 0:
                self._say(f"Logboom does not answer ({reason}); logs wait in memory")
            failures += 1
            self.counts["retries"] += 1
            ceiling = min(self.retry_ceiling, self.retry_base * 2 ** min(failures - 1, 20))
            pause = max(min(retry_after, self.retry_ceiling), random.uniform(0.01, ceiling))
            with self._change:
                self._change.wait_for(lambda: self._closed, pause)

    def _count(self, status, answer, count):
        failed = count
        if status < 300:
            try:
                failed = int(json.loads(answer).get("failed", 0))
            except (ValueError, AttributeError):
                failed = 0
        else:
            # Sent again it would be refused again.
            self._say(f"Logboom refused {count} logs with status {status}")
        self.counts["sent"] += count - failed
        self.counts["failed"] += failed

    def _post(self, body, key):
        path = "/ingest"
        if self._connection is None:
            if self.url.startswith("unix:"):
                self._connection = UnixConnection(self.url[5:], self.timeout)
            else:
                parts = urllib.parse.urlsplit(self.url)
                kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
                self._connection = kind(parts.hostname, parts.port, timeout=self.timeout)
        if not self.url.startswith("unix:"):
            path = urllib.parse.urlsplit(self.url).path or "/ingest"
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        self._connection.request("POST", path, body, headers)
        response = self._connection.getresponse()
        return response.status, response.headers, response.read()

    @staticmethod
    def _say(text):
        # Not through logging: it would come back here.
        print(f"{time.strftime('%H:%M:%S')} logboom_logging: {text}", file=sys.stderr)
