"""Log lines as a household's machines write them, always the same for the same number: the input of packaging/budget.

    python3 household.py LINES [SEED]

Every sentence is made up here. No library decides a byte: the numbers come from the generator below, whatever the Python.
"""

import sys

HOSTS = ["porch", "attic", "cellar", "kitchen", "garage", "garden"]
PEOPLE = ["anna", "ben", "clara", "david", "emil", "frieda"]
UNITS = ["heating", "doorbell", "backup", "weather", "printer", "radio", "recorder"]
LEVELS = ["INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"]

# What stands in braces is filled in by VALUES.
SENTENCES = [
    "{unit} started, pid {number}",
    "{unit} stopped after {small} s",
    "lamp in the {host} switched on by {person}",
    "lamp in the {host} switched off by timer {id}",
    "temperature {decimal} C, humidity {small} %, sensor {mac}",
    "read sensor {mac}: battery at {small}%",
    "sensor {mac} did not answer for {number} ms, asking again",
    "publish home/{host}/temperature {decimal}",
    "subscribe home/{host}/+/state by {id}",
    "user {person} logged in from {address}",
    "user {person} logged out after {number} s",
    "wrong code at the {host} door, attempt {small}",
    "GET /api/rooms/{host}/state?since={number} 200 {number} {decimal}ms",
    "POST /api/scenes/{number}/run 204 {decimal}ms from {address}:{port}",
    "GET http://{host}.local:{port}/picture.jpg timed out after {number}ms",
    "lease for {mac} is {address}, valid for {number} s",
    "name {host}.local is {address}",
    "copied {number} files, {decimal} MiB in {small} s, to /srv/copies/{host}/{date}",
    "cannot open /srv/copies/{host}/{hex}.part: no room on the disk",
    "disk /dev/sda at {small} C, {number} sectors moved",
    "file /var/lib/{unit}/{hex}.tmp removed, {number} bytes",
    "song \"{person}'s favourite {number}\" begins in the {host}",
    "volume in the {host} set to {small}",
    "level={level} unit={unit} took={decimal}ms rows={number} result=kept",
    "level={level} unit={unit} took={decimal}ms rows={number} result=dropped reason=late",
    '{{"unit":"{unit}","event":"measured","value":{decimal},"room":"{host}","count":{number}}}',
    '{{"unit":"{unit}","event":"asleep","until":"{date}T{clock}Z"}}',
    "heat pump: inlet {decimal}, outlet {decimal}, power {number} W",
    "meter {id} counted {decimal} kWh since {date} {clock}",
    "supply voltage is low: {decimal} V for {number} ms",
    "update {version} of {unit} is there, {decimal} MiB",
    "update of {unit} from {version} to {version} done",
    "task {uuid} queued for {unit}",
    "task {uuid} failed: connection to {address}:{port} was closed",
    "session {hex} of {person} has token={hex} and ends at {date} {clock}",
    "mail to {person}@example.org sent in {number}ms",
    "washing machine: programme {small}, {number} minutes left",
    "motion at the {host} camera, picture {hex}, score 0.{number}",
    "calendar of {person}: {small} entries read, {small} changed",
    "error {signed} while writing register 0x{short} of the {unit}",
]


class Numbers:
    """A linear congruential generator (Knuth, MMIX); the upper bits are the good ones."""

    def __init__(self, seed):
        self.state = seed

    def below(self, bound):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        return (self.state >> 33) % bound

    def one(self, items):
        return items[self.below(len(items))]

    def digits(self, count, base="0123456789abcdef"):
        return "".join(self.one(base) for _ in range(count))


VALUES = {
    "unit": lambda n: n.one(UNITS),
    "host": lambda n: n.one(HOSTS),
    "person": lambda n: n.one(PEOPLE),
    "level": lambda n: n.one(LEVELS).lower(),
    "number": lambda n: str(n.below(10 ** (1 + n.below(5)))),
    "small": lambda n: str(n.below(100)),
    "signed": lambda n: str(-n.below(140)),
    "decimal": lambda n: f"{n.below(100)}.{n.below(100):02}",
    "port": lambda n: str(1024 + n.below(60000)),
    "address": lambda n: f"192.168.{n.below(4)}.{1 + n.below(250)}",
    "mac": lambda n: ":".join(n.digits(2) for _ in range(6)),
    "hex": lambda n: n.digits(16),
    "short": lambda n: n.digits(4),
    "id": lambda n: n.digits(2, "abcdefgh") + n.digits(4, "0123456789"),
    "uuid": lambda n: "-".join(n.digits(count) for count in (8, 4, 4, 4, 12)),
    "version": lambda n: f"{n.below(5)}.{n.below(20)}.{n.below(10)}",
    "date": lambda n: f"2026-{1 + n.below(12):02}-{1 + n.below(28):02}",
    "clock": lambda n: f"{n.below(24):02}:{n.below(60):02}:{n.below(60):02}",
}


def fill(sentence, numbers):
    text = []
    index = 0
    while index < len(sentence):
        if sentence.startswith(("{{", "}}"), index):
            text.append(sentence[index])
            index += 2
        elif sentence[index] == "{":
            end = sentence.index("}", index)
            text.append(VALUES[sentence[index + 1:end]](numbers))
            index = end + 1
        else:
            text.append(sentence[index])
            index += 1
    return "".join(text)


def lines(count, seed=3):
    numbers = Numbers(seed)
    for _ in range(count):
        # The first sentences are frequent and the last rare, as it is in logs.
        rank = min(numbers.below(len(SENTENCES)), numbers.below(len(SENTENCES)))
        yield fill(SENTENCES[rank], numbers)


if __name__ == "__main__":
    for line in lines(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3):
        print(line)
