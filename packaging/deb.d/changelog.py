#!/usr/bin/env python3
"""changelog.py CHANGELOG.md VERSION EPOCH MAINTAINER: CHANGELOG.md as a Debian changelog (deb-changelog(5)).

The newest section carries VERSION and the time EPOCH; older ones carry their own heading, "## 1.2.3 (2026-11-21)".
"""

import re
import sys
from email.utils import formatdate
from datetime import datetime, timezone
from textwrap import wrap


def sections(text):
    """Yields (heading, bullets): a bullet is its whole text on one line, without its Markdown."""
    heading, bullets, group = None, [], ""
    for line in text.splitlines():
        if line.startswith("## "):
            if heading is not None:
                yield heading, bullets
            heading, bullets, group = line[3:].strip(), [], ""
        elif line.startswith("### "):
            group = line[4:].strip()
        elif heading is not None and line.startswith("- "):
            bullets.append([group, line[2:].strip()])
        elif bullets and line.startswith("  ") and line.strip():
            bullets[-1][1] += " " + line.strip()
    if heading is not None:
        yield heading, bullets


def plain(text):
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return text.replace("`", "").replace("**", "")


def main():
    path, version, epoch, maintainer = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for index, (heading, bullets) in enumerate(sections(text)):
        when = float(epoch)
        if index > 0:
            named = re.fullmatch(r"([0-9][0-9.]*) \((\d{4}-\d{2}-\d{2})\)", heading)
            if not named:
                sys.exit(f"{path}: a heading that is no release: {heading}")
            version = named[1]
            when = datetime.fromisoformat(named[2]).replace(tzinfo=timezone.utc).timestamp()
        print(f"logboom ({version}) unstable; urgency=medium\n")
        last = None
        for group, bullet in bullets or [["", "No change that a user notices."]]:
            if group != last and group:
                print(f"{'' if last is None else chr(10)}  [ {group} ]")
            last = group
            print("\n".join(wrap(plain(bullet), 78, initial_indent="  * ", subsequent_indent="    ",
                                 break_long_words=False, break_on_hyphens=False)))
        print(f"\n -- {maintainer}  {formatdate(when)}\n")


main()
