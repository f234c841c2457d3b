#!/usr/bin/env python3
"""freeze-thread.py PID NAME: stops the one thread of process PID whose name begins with NAME, as a call that never comes back
would, and holds it until the process ends (ptrace(2): PTRACE_SEIZE, PTRACE_INTERRUPT). A signal cannot do that: SIGSTOP
stops all threads of a process."""

import ctypes
import os
import sys
import time

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
process, name = int(sys.argv[1]), sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

threads = {}
for number in os.listdir(f"/proc/{process}/task"):
    with open(f"/proc/{process}/task/{number}/comm", encoding="utf-8") as file:
        threads[file.read().strip()] = int(number)
found = [number for own, number in threads.items() if own.startswith(name)]
if not found:
    sys.exit(f"no thread {name}; there are {', '.join(sorted(threads))}")
for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
    if libc.ptrace(request, found[0], None, None) != 0:
        sys.exit(f"ptrace {request:#x}: errno {ctypes.get_errno()}")
os.waitpid(found[0], 0x40000000)  # __WALL
print(f"thread {found[0]} is held", flush=True)
while True:
    # A kill of the process ends the thread too, and this sees it.
    gone, _ = os.waitpid(found[0], 0x40000000 | os.WNOHANG)
    if gone or not os.path.exists(f"/proc/{process}"):
        break
    time.sleep(0.2)
