"""How well patterns are found, for packaging/bench accuracy: `logboom patterns --each` against the true templates, by the
scorer that lies with the data. Standard library only. One configuration for all systems, message content only.
"""

import argparse
import glob
import json
import os
import subprocess
import sys

# GA and FGA: is the grouping right, by message and by template. PA~ and FTA~: is the text right, punctuation aside.
GOALS = {"GA": 0.98, "FGA": 0.97, "PA~": 0.96, "FTA~": 0.90}

parser = argparse.ArgumentParser()
parser.add_argument("--program", required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--folder", required=True, help="for the predictions")
parser.add_argument("--scorer", default="", help="score.py; the one that lies with the data unless named")
parser.add_argument("--no-goals", action="store_true", help="only print the figures")
options = parser.parse_args()

systems = sorted(os.path.basename(path)[:-len(".truth.csv")]
                 for path in glob.glob(os.path.join(glob.escape(options.data), "*.truth.csv")))
if not systems:
    sys.exit(f"There is no *.truth.csv in {options.data}.")
for system in systems:
    with open(os.path.join(options.folder, system + ".pred"), "wb") as predictions:
        # Text, whatever the first line looks like: a message that is itself JSON is one.
        subprocess.run(
            [options.program, "patterns", "--each", "--quiet", "--format", "text",
             os.path.join(options.data, system + ".log")],
            stdout=predictions, check=True, timeout=120)

figures = os.path.join(options.folder, "score.json")
subprocess.run(
    [sys.executable, "-B", options.scorer or os.path.join(options.data, "score.py"), "--truth-dir", options.data,
     "--pred-dir", options.folder, "--markdown", "--json", figures],
    check=True, timeout=120)
with open(figures) as file:
    average = json.load(file)["average"]

if options.no_goals:
    sys.exit(0)
print()
missed = 0
for name, goal in GOALS.items():
    reached = average[name] >= goal
    missed += not reached
    print(f"{name:<5} {average[name]:.4f}, goal {goal:.2f}: {'reached' if reached else 'NOT reached'}")
sys.exit(1 if missed else 0)
