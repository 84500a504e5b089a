"""warm: `lazaret run -- true` that begins with a saved guest beside one that boots.

Interleaved pairs in one run; medians and spread. Absolute times mean little on a shared machine.
"""
import json
import os
import statistics
import subprocess
import sys

from cold import DATA, LAZARET, managed

KINDS = {"cold": ["--cold"], "warm": []}


def saved():
    out = subprocess.run([LAZARET, "warm", "ls", "--json"], capture_output=True, check=True).stdout
    return json.loads(out)[-1]


def main():
    pairs, rows = int(sys.argv[1]), {kind: [] for kind in KINDS}
    options = sys.argv[2:]
    for args in KINDS.values():  # capability cache, page cache, the saved guest
        managed(*args, *options)
    for i in range(pairs):
        for kind, args in KINDS.items():
            rows[kind].append(managed(*args, *options))
        print(f"pair {i + 1} of {pairs}", file=sys.stderr)
    print("Software emulation; milliseconds, median [min..max]; the ratio is of medians.\n")
    print("| step | cold | warm | ratio |\n|---|---|---|---|")
    for step in ("prepare", "start", "boot", "job", "down", "whole"):
        ms = {kind: [r[step] * 1000 for r in rows[kind]] for kind in KINDS}
        mid = {kind: statistics.median(ms[kind]) for kind in KINDS}
        cells = [f"{mid[kind]:.0f} [{min(ms[kind]):.0f}..{max(ms[kind]):.0f}]" for kind in KINDS]
        ratio = f"{mid['warm'] / mid['cold']:.2f}" if mid["cold"] >= 1 else "-"
        print(f"| {step} | {cells[0]} | {cells[1]} | {ratio} |")
    key = saved()["key"]
    size = {n: os.stat(f"{DATA}/warm/{key}/{n}") for n in ("ram", "state")}
    print(f"\nstart: to the guest's first instruction; warm: the saved files verified and taken in.\n"
          f"Saved: memory {size['ram'].st_blocks / 2048:.1f} of {size['ram'].st_size >> 20} MiB on the "
          f"disk, devices {size['state'].st_size / 1024:.0f} KiB.")


if __name__ == "__main__":
    main()
