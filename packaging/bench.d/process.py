"""What /proc says of a process that is measured, and how it is ended."""

import os
import subprocess

# Seconds after the start when an idle daemon is as it stays: what the start alone needed was given back, and what the timers of half a
# minute touch is there.
IDLE_AFTER = 75
TICKS = os.sysconf("SC_CLK_TCK")


def fields(path):
    """The `Name:  123 kB` lines of a /proc file, in KiB."""
    found = {}
    with open(path) as file:
        for line in file:
            name, _, value = line.partition(":")
            words = value.split()
            if len(words) == 2 and words[1] == "kB":
                found[name] = int(words[0])
    return found


def cpu_seconds(number):
    """Processor time that the process of this number took, all threads, in seconds (proc(5), utime and stime)."""
    with open(f"/proc/{number}/stat") as file:
        after_name = file.read().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / TICKS


def end(process):
    """Asks it to end, and kills it when it does not within ten seconds."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
