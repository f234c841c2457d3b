"""Takes the measurement of packaging/bench pages: which mappings of an idle logboomd hold anonymous memory, with pages of 4 KiB and
of 16 KiB. Standard library only.

The kernel here has pages of 4 KiB. What the same program takes where they are larger is reckoned: /proc/PID/pagemap says which pages are
present and not a file's (proc(5), bits 63 and 61), and every aligned group of four that has one such page would be taken whole. A
library's groups begin where it was mapped, as its parts are aligned to 64 KiB on arm64. An emulated machine with a Cortex-A76 and pages
of 16 KiB had 4.8 MB where this says 4.9, and both had 3.9 with pages of 4 KiB.

The daemon runs as it does freshly installed: the embedded store, a journal of some hundred patterns, a few posts; then a second
start, which knows the patterns, measured 12 s later.
"""

import argparse
import json
import os
import platform
import random
import shutil
import struct
import subprocess
import sys
import time
import urllib.request

from process import end, fields

TOOL = "/lib/systemd/systemd-journal-remote"
PAGE = 4096
GROUP = 4
SUBJECTS = ["boiler", "pump", "door", "window", "printer", "camera", "valve", "fan", "meter", "battery", "inverter", "router",
            "doorbell", "sprinkler", "freezer"]
STATEMENTS = [
    "SUBJECT started after # s", "SUBJECT stopped: code #", "value of SUBJECT changed from # to #",
    "saving state of SUBJECT to /var/lib/SUBJECT/#.json", "SUBJECT left, # bytes", "timeout of # ms for SUBJECT",
    "reading SUBJECT took #.#s", "retry # for SUBJECT", "SUBJECT is back", "update # for SUBJECT installed", "user # opened SUBJECT",
    "schedule # of SUBJECT begins", "schedule # of SUBJECT ends", "SUBJECT uses # W", "calibrated SUBJECT in # steps",
    "unit SUBJECT entered failed state", "new device SUBJECT found at #", "SUBJECT did not answer at 10.0.0.#:#",
]

parser = argparse.ArgumentParser()
parser.add_argument("--program", required=True, help="logboomd")
parser.add_argument("--folder", required=True)
parser.add_argument("--port", type=int, default=18014)
parser.add_argument("--runs", type=int, default=1)
parser.add_argument("--about", default="")
options = parser.parse_args()


def mappings(process):
    """(name, first address, pages, the address from which its groups are counted), the kernel's own left out."""
    begins, last = {}, None
    with open(f"/proc/{process}/maps") as file:
        for line in file:
            words = line.split(None, 5)
            first, behind = (int(word, 16) for word in words[0].split("-"))
            name = words[5].strip() if len(words) > 5 else ""
            if name in ("[vsyscall]", "[vvar]", "[vdso]", "[vvar_vclock]"):
                continue
            if not name and last and last[0] == first and last[1].startswith("/"):
                # What a library has beyond its file (.bss).
                name = last[1]
            begins.setdefault(name, first)
            yield name, first, (behind - first) // PAGE, begins[name] if name.startswith("/") else 0
            last = behind, name


def anonymous(process):
    """By kind of mapping: pages, and groups of 16 KiB that have one."""
    found = {}
    with open(f"/proc/{process}/pagemap", "rb", 0) as pagemap:
        for name, first, count, begin in mappings(process):
            pagemap.seek(first // PAGE * 8)
            entries = struct.unpack(f"<{count}Q", pagemap.read(count * 8))
            pages = [number for number, entry in enumerate(entries) if entry >> 63 & 1 and not entry >> 61 & 1]
            if not pages:
                continue
            kind = "the program" if name == os.path.realpath(options.program) else \
                "libraries" if ".so" in name else "heap" if name == "[heap]" else "files" if name.startswith("/") else \
                "stacks and blocks of 128 KiB and more"
            groups = {(name, ((first - begin) // PAGE + page) // GROUP) for page in pages}
            entry = found.setdefault(kind, [0, set(), set()])
            entry[0] += len(pages)
            entry[1] |= groups
            entry[2].add(name)
    return found


def write_journal(path):
    maker = subprocess.Popen([TOOL, "--output=" + path, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    chance = random.Random(1)
    start = int((time.time() - 3600) * 1_000_000)
    for number in range(3000):
        message = chance.choice(STATEMENTS).replace("SUBJECT", chance.choice(SUBJECTS))
        while "#" in message:
            message = message.replace("#", str(chance.randrange(1000)), 1)
        unit = ["nodered", "mosquitto", "zigbee2mqtt", "ssh", "cron", "init"][number % 6]
        maker.stdin.write(
            f"__REALTIME_TIMESTAMP={start + number * 1000}\n__MONOTONIC_TIMESTAMP={1_000_000 + number * 1000}\n"
            f"_BOOT_ID={'b' * 32}\n_TRANSPORT=stdout\nPRIORITY={3 if number % 50 == 0 else 6}\nSYSLOG_IDENTIFIER={unit}\n"
            f"_PID=400\n_COMM={unit}\n_SYSTEMD_UNIT={unit}.service\n_MACHINE_ID={'c' * 32}\n_HOSTNAME=pi\n"
            f"MESSAGE={message}\n\n".encode())
    maker.stdin.close()
    if maker.wait(60) != 0:
        sys.exit("systemd-journal-remote made no journal.")


def ask(path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{options.port}{path}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def run(state, journal, measure):
    log = open(os.path.join(options.folder, "logboomd.log"), "w+")
    environment = {
        "PATH": os.environ["PATH"], "LISTEN": f"127.0.0.1:{options.port},unix:{options.folder}/logboom.sock",
        "STATE_DIRECTORY": state, "RUNTIME_DIRECTORY": options.folder, "JOURNAL": "on", "JOURNAL_DIRECTORY": journal,
        # As in the unit file.
        "MALLOC_ARENA_MAX": "1",
    }
    process = subprocess.Popen([options.program], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                ask("/readyz")
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    sys.exit("logboomd is not ready after 20 s:\n" + log.read()[-4000:])
                time.sleep(0.1)
        if not measure:
            while ask("/stats")["journal"]["entries"] < 3000 and time.monotonic() < deadline:
                time.sleep(0.1)
            for number in range(30):
                ask("/ingest", json.dumps({"message": f"sensor {number} reports {number} degrees", "source": "nodered"}).encode())
            ask("/flush", b"")
            return None
        time.sleep(12)
        return anonymous(process.pid), fields(f"/proc/{process.pid}/status")
    finally:
        end(process)
        log.close()


journal = os.path.join(options.folder, "journal")
os.makedirs(journal)
write_journal(os.path.join(journal, "system.journal"))
runs = []
for _ in range(options.runs):
    state = os.path.join(options.folder, "state")
    shutil.rmtree(state, ignore_errors=True)
    os.makedirs(state)
    run(state, journal, False)
    runs.append(run(state, journal, True))
runs.sort(key=lambda one: sum(len(entry[1]) for entry in one[0].values()))
found, status = runs[len(runs) // 2]
print(f"{platform.processor() or platform.machine()}, Linux {platform.release()}. {options.about}")
print(f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, {options.runs} runs, the middle one; RssAnon {status['RssAnon']} KiB, "
      f"RssFile {status['RssFile']} KiB.\n")
print("| anonymous memory, KiB | pages of 4 KiB | pages of 16 KiB |\n| --- | ---: | ---: |")
for kind, (pages, groups, names) in sorted(found.items(), key=lambda item: -len(item[1][1])):
    label = f"{len(names)} libraries" if kind == "libraries" else kind
    print(f"| {label} | {pages * PAGE // 1024:,} | {len(groups) * GROUP * PAGE // 1024:,} |")
whole = sum(len(entry[1]) for entry in found.values()) * GROUP * PAGE // 1024
print(f"| together | {sum(entry[0] for entry in found.values()) * PAGE // 1024:,} | {whole:,} |")
print(f"\n{'reached' if whole <= 4000 else 'MISSED '}  at most 4,000 KiB with pages of 16 KiB")
