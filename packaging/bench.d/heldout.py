"""Makes log lines whose true templates are known, from the format strings of programs that are installed here: nobody looked
at them when the rules were made. For packaging/bench heldout, which scores what `logboom patterns` makes of them.

    python3 heldout.py FOLDER [SEED]        writes X.log and X.truth.csv for each program that is there

A format (`could not open file "%s": %m`) is taken from a catalogue of translations (gettext's .mo) or from the strings of a
binary, its conversions become <*> in the truth, and values of the kind that the word before suggests in the lines. The
text of an error (%m) stays in the truth: `No such file or directory` and `Permission denied` are two things to a reader. A
format without three words of its own is left out: nobody could tell what it is. Standard library only.
"""

import ast
import csv
import glob
import os
import random
import re
import struct
import sys

LINES = 2000
FORMATS = 120

CONVERSION = re.compile(r"%(?:(\d+)\$)?[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|q|j|z|t|L)?([diouxXeEfFgGcspmV%])")
WORD = re.compile(r"[A-Za-z]{2,}")


def catalogue(name):
    """The untranslated messages of a .mo file (GNU gettext manual, "The Format of GNU MO Files")."""
    for path in sorted(glob.glob(f"/usr/share/locale/*/LC_MESSAGES/{name}.mo")):
        with open(path, "rb") as file:
            data = file.read()
        magic, _, count, originals = struct.unpack_from("<IIII", data)
        if magic != 0x950412DE:
            continue
        found = []
        for index in range(count):
            length, offset = struct.unpack_from("<II", data, originals + 8 * index)
            text = data[offset:offset + length].split(b"\0")[0].split(b"\4")[-1]
            found.append(text.decode("utf-8", "replace"))
        if len(found) > 50:
            return found
    return []


def strings(path):
    """Printable texts of a binary, as strings(1) finds them."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return []
    return [match.group().decode() for match in re.finditer(rb"[\x20-\x7e]{12,200}(?=\x00)", data)]


def logging_calls(folder):
    """First arguments of logger.info("... %s ...", ...) and its like in Python sources."""
    found = []
    for path in sorted(glob.glob(os.path.join(folder, "**", "*.py"), recursive=True)):
        try:
            with open(path, encoding="utf-8") as file:
                tree = ast.parse(file.read())
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
                    and node.func.attr in ("debug", "info", "warning", "warn", "error", "critical", "exception")
                    and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)):
                found.append(node.args[0].value)
    return found


def programs():
    def first(pattern):
        return next(iter(sorted(glob.glob(pattern), reverse=True)), "")

    yield "postgres", catalogue(os.path.basename(first("/usr/share/locale/de/LC_MESSAGES/postgres-*.mo"))[:-3] or "postgres-15")
    yield "nginx", strings("/usr/sbin/nginx")
    yield "systemd", strings(first("/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-*.so")
                             or first("/usr/lib/*/systemd/libsystemd-*.so")) + strings("/usr/lib/systemd/systemd")
    yield "ssh", strings("/usr/sbin/sshd") + strings("/usr/bin/ssh")
    yield "git", catalogue("git")
    yield "krb5", catalogue("mit-krb5")
    yield "apt", catalogue("libapt-pkg6.0") + catalogue("dpkg")
    yield "python", logging_calls(first("/usr/lib/python3.*/"))


NAMES = ["root", "anna", "www-data", "backup", "deploy", "git", "postgres", "ben", "mallory", "svc_report", "nobody", "admin"]
THINGS = ["orders", "customers", "invoice_items", "users", "sessions", "pg_class", "daily_report", "main", "worker", "cache",
          "eth0", "wlan0", "nginx", "cron", "network", "default", "utf8", "queue", "index_of_names", "plugin", "tmpfs"]
HOSTS = ["db1.example.org", "localhost", "cellar", "www.example.com", "build-7", "192.168.1.20", "10.0.4.17", "203.0.113.9", "::1"]
ERRORS = ["No such file or directory", "Permission denied", "Connection refused", "Broken pipe", "Invalid argument"]


def value(kind, before, dice):
    if kind in "diu":
        return str(dice.choice([dice.randrange(10), dice.randrange(1000), dice.randrange(100_000)]))
    if kind in "xX":
        return "%x" % dice.randrange(16, 1 << 32)
    if kind == "p":
        return "0x%x" % dice.randrange(1 << 40, 1 << 47)
    if kind in "eEfFgG":
        return "%.2f" % (dice.random() * 100)
    if kind == "o":
        return "%o" % dice.randrange(512)
    if kind == "c":
        return dice.choice("abcxyz")
    word = (WORD.findall(before.lower()) or [""])[-1]
    if word in ("file", "directory", "path", "open", "read", "write", "stat", "in", "socket", "symlink", "mount", "rename", "at"):
        return "/" + "/".join(dice.choice(["var", "lib", "etc", "run", "data", "log", "tmp", "app", "x%d" % dice.randrange(99)])
                              for _ in range(dice.randrange(2, 5)))
    if word in ("user", "role", "for", "owner", "by", "login", "principal", "client", "group"):
        return dice.choice(NAMES)
    if word in ("host", "from", "address", "server", "to", "connect", "peer", "hostname"):
        return dice.choice(HOSTS)
    if word in ("version",):
        return "%d.%d.%d" % (dice.randrange(9), dice.randrange(30), dice.randrange(20))
    if word in ("id", "uuid", "key", "hash", "object", "commit", "digest", "fingerprint"):
        return "%040x" % dice.getrandbits(160)
    return dice.choice(THINGS)


def truth(text, error="<*>"):
    return CONVERSION.sub(lambda match: {"%": "%", "m": error}.get(match.group(2), "<*>"), text)


def usable(text):
    """Formats a program would log in one line, that have three words of their own and something to fill in."""
    if "\n" in text.strip("\n") or not 12 <= len(text) <= 200 or "<" in text or "\t" in text or text[0] == " ":
        return False  # an indented line is the rest of the record above it
    kinds = [match.group(2) for match in CONVERSION.finditer(text)]
    rest = CONVERSION.sub(" ", text)
    return ("%" not in rest and any(kind != "%" for kind in kinds) and len(kinds) <= 6 and len(WORD.findall(rest)) >= 3
            and not any(match.group(1) for match in CONVERSION.finditer(text)))


def lines(formats, dice):
    # A place has a handful of values or many: a role is one of few, a number any.
    pools = {}
    for text in formats:
        pools[text] = []
        for match in CONVERSION.finditer(text):
            if match.group(2) in "%m":
                continue
            size = dice.choice([2, 4, 12, 200])
            pools[text].append([value(match.group(2), text[:match.start()], dice) for _ in range(size)])
    weights = [1 / (1 + rank) for rank in range(len(formats))]
    for text in formats + dice.choices(formats, weights, k=LINES - len(formats)):
        places = iter(pools[text])
        error = dice.choice(ERRORS)
        line = CONVERSION.sub(
            lambda match: "%" if match.group(2) == "%" else error if match.group(2) == "m" else dice.choice(next(places)), text)
        yield truth(text, error), line


def main(folder, seed):
    for name, found in programs():
        dice = random.Random(f"{seed} {name}")
        # nginx writes %V for a string and %O, %T for numbers of its own; what is left of them is text nobody could know.
        formats, seen = [], set()
        for text in found:
            text = text.strip("\n")
            key = " ".join(truth(text).split())
            if usable(text) and key not in seen:
                seen.add(key)
                formats.append(text)
        if len(formats) < 20:
            print(f"{name}: left out, {len(formats)} formats found", file=sys.stderr)
            continue
        dice.shuffle(formats)
        made = list(lines(formats[:FORMATS], dice))
        dice.shuffle(made)
        with open(os.path.join(folder, name + ".log"), "w") as file:
            file.writelines(line + "\n" for _, line in made)
        with open(os.path.join(folder, name + ".truth.csv"), "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["LineId", "EventId", "EventTemplate"])
            writer.writerows([index + 1, "E", template] for index, (template, _) in enumerate(made))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 11)
