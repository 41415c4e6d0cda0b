"""Runs one command, and prints what it cost as JSON: seconds, processor seconds, peak MiB.

A process of its own, because the kernel counts the memory of whoever started a process as that
process's own peak, and what measures has torch loaded. This one holds less than any Python.
"""

import os
import sys
import time


def main() -> None:
    begin = time.perf_counter()
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - begin
    if status:
        sys.exit(f"exit status {status}: {' '.join(sys.argv[1:])}")
    print(f"[{wall}, {used.ru_utime + used.ru_stime}, {used.ru_maxrss / 1024}]")


main()
