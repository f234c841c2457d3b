"""How fast `logboom patterns` is, for packaging/bench patterns, which prepares everything and calls this: lines a second and
processor time a line on about a million mixed lines beside Drain3, and how flat the cost stays as patterns grow in number.
Standard library only, but for the part that runs in Drain3's own environment.
"""

import argparse
import glob
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

MIXED_LINES = 1_000_000
BLOCK_LINES = 50
DRAIN3_LINES = 50_000
SEED = 7
FLAT_LINES = 1_000_000
FLAT_PATTERNS = (100, 1_000, 5_000)
# Instructions are counted on the lines between these, when all patterns are known.
COUNTED_LINES = (200_000, 300_000)


# ---- inputs, each made by a process of its own: what a child is told about its memory includes its parent's

def write_mixed(data, path):
    """The files of messages, repeated, in blocks of neighbouring lines that are shuffled."""
    files = sorted(set(glob.glob(os.path.join(glob.escape(data), "*.log")))
                   - set(glob.glob(os.path.join(glob.escape(data), "*.raw.log"))))
    blocks = []
    for name in files:
        with open(name, "rb") as file:
            lines = [line for line in file.read().split(b"\n") if line.strip()]
        blocks += [lines[start:start + BLOCK_LINES] for start in range(0, len(lines), BLOCK_LINES)]
    once = sum(len(block) for block in blocks)
    if once == 0:
        sys.exit(f"There is no X.log in {data}.")
    blocks *= -(-MIXED_LINES // once)
    random.Random(SEED).shuffle(blocks)
    with open(path, "wb") as file:
        for block in blocks:
            file.write(b"\n".join(block) + b"\n")


def write_flat(patterns, path):
    """FLAT_LINES lines of so many sentences, each as likely as the others. No two sentences have more than a word or two in
    common, so that they stay apart."""
    dice = random.Random(SEED + patterns)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "ai", "ou")]
    vocabulary = sorted({"".join(dice.choices(syllables, k=dice.choice((2, 3)))) for _ in range(20_000)})
    sentences = []
    for _ in range(patterns):
        a, b, c, d, e, f = dice.sample(vocabulary, 6)
        sentences.append(f"{a} {b} %d {c} {d} 10.0.%d.7 {e} {f}")
    with open(path, "w") as file:
        # Each once first: all are live for the whole of what is measured.
        for index, sentence in enumerate(sentences):
            file.write(sentence % (index, index % 250) + "\n")
        for index in range(patterns, FLAT_LINES):
            file.write(dice.choice(sentences) % (index, index % 250) + "\n")


def write_input(kind, argument, path):
    subprocess.run([sys.executable, "-B", os.path.abspath(__file__), kind, str(argument), path], check=True)
    with open(path, "rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


# ---- Drain3, in the environment it was installed into

# The kinds of values that its sample configuration masks (github.com/logpai/Drain3, examples/drain3.ini, which is not in
# the package): groups of hex with colons, IPv4, runs of hex, 0x numbers, decimal numbers, a quoted command.
DRAIN3_MASKS = [
    (r"(?<![A-Za-z0-9])[0-9a-f]{2,}(?::[0-9a-f]{2,}){3,}(?![A-Za-z0-9])", "ID"),
    (r"(?<![A-Za-z0-9])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![A-Za-z0-9])", "IP"),
    (r"(?<![A-Za-z0-9])(?:[0-9a-f]{6,} ?){3,}(?![A-Za-z0-9])", "SEQ"),
    (r"(?<![A-Za-z0-9])(?:[0-9A-F]{4} ?){4,}(?![A-Za-z0-9])", "SEQ"),
    (r"(?<![A-Za-z0-9])0x[0-9A-Fa-f]+(?![A-Za-z0-9])", "HEX"),
    (r"(?<![A-Za-z0-9])[-+]?[0-9]+(?![A-Za-z0-9])", "NUM"),
    (r'(?<=executed cmd )".+?"', "CMD"),
]


def run_drain3(configuration, path):
    """Prints seconds of wall and processor, lines and clusters; the lines are in memory beforehand."""
    from drain3 import TemplateMiner
    from drain3.masking import MaskingInstruction
    from drain3.template_miner_config import TemplateMinerConfig

    settings = TemplateMinerConfig()
    if configuration:
        settings.load(configuration)
    else:
        # As in the sample, masks aside.
        settings.drain_sim_th, settings.drain_depth = 0.4, 4
        settings.drain_max_children, settings.drain_max_clusters = 100, 1024
        settings.drain_extra_delimiters = ["_"]
        settings.mask_prefix, settings.mask_suffix = "<:", ":>"
        settings.masking_instructions = [MaskingInstruction(*mask) for mask in DRAIN3_MASKS]
    settings.profiling_enabled = False
    miner = TemplateMiner(config=settings)
    with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        lines = [line.rstrip("\r\n") for _, line in zip(range(DRAIN3_LINES), file)]
    wall, processor = time.perf_counter(), time.process_time()
    for line in lines:
        miner.add_log_message(line)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(json.dumps({"wall": wall, "cpu": processor, "lines": len(lines), "clusters": len(miner.drain.clusters)}))


if len(sys.argv) == 4 and sys.argv[1] in ("mixed", "flat", "drain3"):
    {"mixed": lambda: write_mixed(sys.argv[2], sys.argv[3]),
     "flat": lambda: write_flat(int(sys.argv[2]), sys.argv[3]),
     "drain3": lambda: run_drain3(sys.argv[2], sys.argv[3])}[sys.argv[1]]()
    sys.exit(0)


# ---- measuring

parser = argparse.ArgumentParser()
parser.add_argument("--program", required=True)
parser.add_argument("--folder", required=True)
parser.add_argument("--data", default="", help="folder of X.log; without it the mixed lines are left out")
parser.add_argument("--drain3", default="", help="a Python that can import drain3; without it the factor is left out")
parser.add_argument("--drain3-ini", default="", help="its configuration, instead of masks of the same kinds")
parser.add_argument("--runs", type=int, default=5)
parser.add_argument("--about", default="", help="commit and Swift version, printed")
options = parser.parse_args()

core = max(os.sched_getaffinity(0))
pinned = ["taskset", "-c", str(core)] if os.path.exists("/usr/bin/taskset") else []


def run_program(path):
    """One run, standard input from the file: wall and processor seconds, peak RSS in KiB, the patterns."""
    with open(path, "rb") as lines, tempfile.TemporaryFile(dir=options.folder) as report, \
            tempfile.TemporaryFile(dir=options.folder) as remarks:
        peak = 0
        started = time.perf_counter()
        process = subprocess.Popen(
            pinned + [options.program, "patterns", "--quiet", "--json", "--format", "text", "-"],
            stdin=lines, stdout=report, stderr=remarks)
        done = threading.Event()

        def watch():
            # ru_maxrss of a child begins with what its parent held, so the kernel's mark of the new image is read instead.
            nonlocal peak
            while not done.wait(0.004):
                try:
                    with open(f"/proc/{process.pid}/status") as status:
                        for line in status:
                            if line.startswith("VmHWM"):
                                peak = int(line.split()[1])
                except OSError:
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        done.set()
        watcher.join()
        if process.returncode != 0:
            remarks.seek(0)
            sys.exit(f"logboom patterns ended with status {process.returncode}: {remarks.read().decode(errors='replace')}")
        report.seek(0)
        patterns = json.load(report)["patterns"]
    return wall, usage.ru_utime + usage.ru_stime, peak, patterns


def spread(values, form):
    return f"{form.format(statistics.median(values))} ({form.format(min(values))} to {form.format(max(values))})"


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith(("model name", "Model")):
                model = line.partition(":")[2].strip()
                break
    return f"{model}, {os.uname().machine}, {os.cpu_count()} cores, Linux {os.uname().release}."


print(machine())
if options.about:
    print(options.about)
print(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()) + f", {options.runs} runs, the middle one and in brackets the lowest and the "
      f"highest, {'one core (taskset)' if pinned else 'not bound to a core'}, reading, start-up and report included.\n")

if options.data:
    mixed = os.path.join(options.folder, "mixed.log")
    count = write_input("mixed", options.data, mixed)
    size = os.path.getsize(mixed) / 1e6
    run_program(mixed)  # the file into the page cache
    runs, others = [], []
    for _ in range(options.runs):
        runs.append(run_program(mixed))
        if options.drain3:
            result = subprocess.run(
                pinned + [options.drain3, "-B", os.path.abspath(__file__), "drain3", options.drain3_ini, mixed],
                stdout=subprocess.PIPE, check=True, timeout=300)
            others.append(json.loads(result.stdout))
    print(f"| {count:,} mixed lines, {size:.0f} MB | lines/s | CPU ns a line | peak RSS MB | patterns |")
    print("| --- | ---: | ---: | ---: | ---: |")
    print("| logboom patterns | " + spread([count / run[0] for run in runs], "{:,.0f}") + " | "
          + spread([run[1] / count * 1e9 for run in runs], "{:,.0f}")
          + f" | {max(run[2] for run in runs) / 1024:.1f} | {len(runs[0][3]):,} |")
    if others:
        print(f"| Drain3, {others[0]['lines']:,} of them | "
              + spread([other["lines"] / other["wall"] for other in others], "{:,.0f}") + " | "
              + spread([other["cpu"] / other["lines"] * 1e9 for other in others], "{:,.0f}")
              + f" | | {others[0]['clusters']:,} |")
        ours = [run[1] / count for run in runs]
        theirs = [other["cpu"] / other["lines"] for other in others]
        print(f"\n{statistics.median(theirs) / statistics.median(ours):.1f} times Drain3 by processor time a line, "
              f"{min(theirs) / min(ours):.1f} times by the least disturbed run of each; "
              + ("its configuration from the file named." if options.drain3_ini
                 else "masks of the kinds its sample configuration has."))
    os.remove(mixed)
    print()

def first_lines(path, target, count):
    with open(path, "rb") as file, open(target, "wb") as copy:
        for _, line in zip(range(count), file):
            copy.write(line)


def counted_instructions(path, scratch):
    """Instructions a line once all patterns are known, counted by callgrind: neighbours do not disturb it."""
    totals = []
    for count in COUNTED_LINES:
        first_lines(path, scratch, count)
        with open(scratch, "rb") as lines:
            result = subprocess.run(
                ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", options.program, "patterns", "--quiet", "--json",
                 "--format", "text", "-"], stdin=lines, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=600, check=True)
        totals.append(int(re.search(rb"Collected : (\d+)", result.stderr)[1]))
    return (totals[1] - totals[0]) / (COUNTED_LINES[1] - COUNTED_LINES[0])


print("| live patterns | found | lines under `<other>` | CPU ns a line | CPU ns a line once all are known "
      "| instructions a line once all are known |")
print("| ---: | ---: | ---: | ---: | ---: | ---: |")
for patterns in FLAT_PATTERNS:
    whole = os.path.join(options.folder, "flat.log")
    half = os.path.join(options.folder, "flat-half.log")
    write_input("flat", patterns, whole)
    first_lines(whole, half, FLAT_LINES // 2)
    halves, wholes = [], []
    for _ in range(options.runs):
        halves.append(run_program(half))
        wholes.append(run_program(whole))
    found = sum(1 for pattern in wholes[0][3] if pattern.get("id"))
    other = sum(pattern["count"] for pattern in wholes[0][3] if not pattern.get("id"))
    # What comes on top of the first half is neither start-up nor learning.
    steady = [(b[1] - a[1]) / (FLAT_LINES - FLAT_LINES // 2) for a, b in zip(halves, wholes)]
    print(f"| {patterns:,} | {found:,} | {other:,} | " + spread([run[1] / FLAT_LINES * 1e9 for run in wholes], "{:,.0f}") + " | "
          + spread([value * 1e9 for value in steady], "{:,.0f}") + " | "
          + (f"{counted_instructions(whole, half):,.0f}" if shutil.which("valgrind") else "(no valgrind)") + " |", flush=True)
    os.remove(whole)
    os.remove(half)
