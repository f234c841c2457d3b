#!/usr/bin/env python3
"""make.py EPOCH CONFIGURATION HELP OUT: the manual pages, from what the programs say of themselves.

logboom.conf(5) gets its keys from CONFIGURATION, the shipped file, which a test keeps equal to the table of settings;
logboom(1) is made of HELP, what `logboom --experimental-dump-help` prints. So neither can say anything else than the program.
"""

import json
import re
import sys
from datetime import datetime, timezone
from pathlib import Path
from textwrap import wrap

# Commands of ArgumentParser itself.
HIDDEN = {"help"}


def roff(text):
    """Text that roff prints as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


def prose(text):
    """A paragraph: each sentence begins on a line of its own, as mdoc(7) wants it, and lines stay short."""
    sentences = re.sub(r"(?<=[.?!]) +(?=[^a-z0-9 ])", "\n", text).split("\n")
    return "\n".join(roff(line) for sentence in sentences
                     for line in wrap(sentence, 78, break_long_words=False, break_on_hyphens=False))


def keys(path):
    """The body of section KEYS."""
    lines, comment = [], []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        setting = re.fullmatch(r"#([A-Z_]+)=(.*)", line)
        if setting:
            allowed = next((text for text in comment if text.startswith("Allowed: ")), "")
            said = [text for text in comment if text != allowed]
            default = f".Ql {roff(setting[2])}" if setting[2] else "unset"
            lines += [f".It Ev {setting[1]}", prose(" ".join(said)), ".br", prose(allowed), ".br", "Default:", default]
            comment = []
        elif line.startswith("# "):
            comment.append(line[2:])
        elif not line and len(comment) == 1:
            # A heading is a comment that stands alone.
            lines += [".El"] * (".Bl" in " ".join(lines)) + [f".Ss {comment[0]}", ".Bl -tag -width Ds"]
            comment = []
        elif not line:
            comment = []
    return "\n".join(lines + [".El"])


def spelled(name):
    return ("-" if name["kind"] == "short" else "--") + name["name"]


def option(argument):
    """One argument as a list item."""
    value = argument.get("valueName", "")
    if argument["kind"] == "positional":
        head = f".It Ar {roff(value)}"
    else:
        names = " , ".join("Fl " + roff(spelled(name)[1:]) for name in argument["names"])
        head = f".It {names}" + (f" Ar {roff(value)}" if argument["kind"] == "option" else "")
    text = argument.get("abstract", "")
    if argument.get("allValues"):
        text += f" One of: {', '.join(argument['allValues'])}."
    if argument.get("defaultValue"):
        text += f" Default: {argument['defaultValue']}."
    return [head, prose(text.strip() or "See above.")]


def shown(command):
    return [a for a in command.get("arguments", []) if a.get("shouldDisplay", True)
            and not {name["name"] for name in a.get("names", [])} & {"help", "version"}]


def discussion(text):
    """Paragraphs; what is indented is printed as it stands."""
    lines = []
    for paragraph in re.split(r"\n\n+", (text or "").strip()):
        if not paragraph:
            continue
        rows = paragraph.split("\n")
        if rows and re.fullmatch(r"[A-Z ]+:?", rows[0]):
            lines += [".Pp", f".Em {roff(rows[0].capitalize().rstrip(':'))}"]
            rows = rows[1:]
        else:
            lines.append(".Pp")
        literal = [row for row in rows if row.startswith(" ")]
        if rows and len(literal) == len(rows):
            lines += [".Bd -literal"] + [roff(row) for row in rows] + [".Ed"]
        else:
            lines.append(prose(" ".join(rows)))
    return [line for line in lines if line]


def subcommands(command, path):
    lines = []
    for child in command.get("subcommands", []):
        if child["commandName"] in HIDDEN or not child.get("shouldDisplay", True):
            continue
        name = f"{path} {child['commandName']}".strip()
        lines += [f".Ss logboom {name}", prose(child.get("abstract", ""))]
        lines += discussion(child.get("discussion"))
        arguments = shown(child)
        if arguments:
            lines.append(".Bl -tag -width Ds")
            for argument in arguments:
                lines += option(argument)
            lines.append(".El")
        lines += subcommands(child, name)
    return lines


def command_page(help_text, date):
    root = json.loads(help_text)["command"]
    names = [child["commandName"] for child in root["subcommands"] if child["commandName"] not in HIDDEN]
    lines = [f".Dd {date}", ".Dt LOGBOOM 1", ".Os", ".Sh NAME", ".Nm logboom", ".Nd see what logboomd gathered",
             ".Sh SYNOPSIS", ".Nm", f".Cm {' | '.join(names)}", ".Op Ar options", ".Nm", ".Fl \\-version | \\-help",
             ".Sh DESCRIPTION", prose(root["abstract"])]
    lines += discussion(root.get("discussion"))
    lines += [".Pp", "Every command prints its options with", ".Fl \\-help .", ".Sh COMMANDS"]
    lines += subcommands(root, "")
    lines += [".Sh ENVIRONMENT", ".Bl -tag -width Ds", ".It Ev LOGBOOM_URL", "Where the daemon answers.",
              ".It Ev NO_COLOR", "Print no colours.", ".El",
              ".Sh EXIT STATUS", ".Bl -tag -width Ds", ".It 0", "Success.", ".It 1",
              "The daemon answered, but not with success; status: degraded.", ".It 2", "status: unhealthy.", ".It 64",
              "The command line is wrong.", ".It 69", "No daemon answers.", ".It 78", "The configuration is wrong.", ".El",
              ".Sh SEE ALSO", ".Xr logboom.conf 5 ,", ".Xr logboomd 8"]
    return "\n".join(lines) + "\n"


def main():
    epoch, configuration, help_path, out = sys.argv[1:]
    now = datetime.fromtimestamp(int(epoch), timezone.utc)
    date = f"{now:%B} {now.day}, {now.year}"
    here, out = Path(__file__).parent, Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("logboomd.8", "logboom.conf.5"):
        text = (here / f"{name}.in").read_text(encoding="utf-8").replace("@DATE@", date)
        (out / name).write_text(text.replace("@KEYS@", keys(Path(configuration))), encoding="utf-8")
    (out / "logboom.1").write_text(command_page(Path(help_path).read_text(encoding="utf-8"), date), encoding="utf-8")


main()
