"""crowd: many at once, and many before: what ten sandboxes take of memory, what a burst of runs takes of time,
and what thousands of finished runs in the data folder cost those that come after.

    crowd.py ROUNDS FOLDER [BOXES [BURST [FINISHED]]]    writes crowd.json into FOLDER, a table to stdout

The finished runs are clones of a real one that was kept, with its record and its lines of the ledger, in a
data folder of their own: the same inodes under other names, so that they cost no room.
"""
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

import forks
import report
from cold import DATA, LAZARET
from forks import SMALL, lazaret, timed

FEW = 10


def private_of(names):
    """MiB of private memory each, of the processes of a sandbox but QEMU."""
    each = []
    for name in names:
        pids = forks.below(forks.supervisor(name)).items()
        each.append(sum(forks.rollup(pid)[2] for pid, comm in pids
                        if not comm.startswith("qemu")) / 1024)
    return each


def sandboxes(n):
    names = [f"crowd-{i}" for i in range(n)]
    try:
        for name in names:
            lazaret("up", name, *SMALL)
        return private_of(names)
    finally:
        for name in names:
            subprocess.run([LAZARET, "down", name], stderr=subprocess.DEVNULL, check=False)


RUN = ["run", *SMALL, "--", "true"]


def burst(n):
    """Seconds of `n` runs at once."""
    began = time.monotonic()
    all_of = [subprocess.Popen([LAZARET, *RUN], stdin=subprocess.DEVNULL) for _ in range(n)]
    if any([p.wait() for p in all_of]):
        sys.exit("a run of the burst failed")
    return time.monotonic() - began


def link_tree(source, target):
    shutil.copytree(source, target, copy_function=os.link, symlinks=True)


@contextlib.contextmanager
def data_folder(finished):
    """A data folder like ours with so many finished runs in it."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=DATA) as folder:
        for part in ("images", "cache"):
            link_tree(f"{DATA}/{part}", f"{folder}/{part}")
        in_folder(folder, "run", *SMALL, "--keep-logs", "--", "true")
        clone(folder, finished)
        yield folder


def in_folder(folder, *args):
    r = subprocess.run([LAZARET, *args], env={**os.environ, "LAZARET_DATA_DIR": folder}, capture_output=True,
                       stdin=subprocess.DEVNULL, check=False)
    if r.returncode:
        sys.exit(f"{args}: {r.stderr.decode()}")


def clone(folder, n):
    run, = os.listdir(f"{folder}/runs")
    record, = os.listdir(f"{folder}/records")
    names = os.listdir(f"{folder}/runs/{run}")
    for i in range(n - 1):
        new = f"20000101-{i:06}-000000"
        os.mkdir(f"{folder}/runs/{new}", 0o700)
        for name in names:
            os.link(f"{folder}/runs/{run}/{name}", f"{folder}/runs/{new}/{name}")
        os.link(f"{folder}/records/{record}", f"{folder}/records/{record.replace(run, new)}")
    with open(f"{folder}/ledger/heads.jsonl", "rb+") as f:
        lines = f.read()
        f.seek(0)
        f.write(lines * n)


def timed_in(folder, *args):
    began = time.monotonic()
    in_folder(folder, *args)
    return time.monotonic() - began


def before(rounds, many):
    """Of `run` and `ls`, with few finished runs and with many: {what: ([few], [many])}."""
    rows = {"run": ([], []), "ls": ([], [])}
    with data_folder(FEW) as few, data_folder(many) as full:
        for i in range(rounds + 1):
            for which in random.sample((0, 1), 2):
                folder = (few, full)[which]
                took = timed_in(folder, *RUN), min(timed_in(folder, "ls") for _ in range(5))
                if i > 0:
                    rows["run"][which].append(took[0])
                    rows["ls"][which].append(took[1])
    return rows


def main():
    rounds, folder = int(sys.argv[1]), sys.argv[2]
    boxes, many_runs, finished = (int(w) for w in [*sys.argv[3:], *(10, 20, 10000)[len(sys.argv) - 3:]])
    machine = report.machine("tcg")
    private = sandboxes(boxes)
    ones, bursts = [], []
    for _ in range(rounds):
        ones.append(timed(*RUN))
        bursts.append(burst(many_runs))
    rows = before(rounds, finished)
    cores = machine["cores"]
    targets = [report.target(f"private memory of keeper, relay, init and supervisor, each of {boxes} sandboxes", private,
                             at_most=12, unit="MiB"),
               *(report.target(f"`{what}` with {finished:,} finished runs / with {FEW}", many, few, at_most=1.1)
                 for what, (few, many) in rows.items()),
               report.target(f"burst of {many_runs} `run -- true` / ({many_runs} x one / {cores})", bursts,
                             [one * many_runs / cores for one in ones], at_most=1.2)]
    report.write_part(folder, "crowd", machine, rounds, targets,
                      {"private_mib": private, "one_s": ones, "burst_s": bursts,
                       "finished_s": {what: {"few": few, "many": many} for what, (few, many) in rows.items()}})
    print(report.table(["many", "ms, median [min..max]"], [
        ["one `run -- true`", report.cell(report.spread(ones))],
        [f"{many_runs} at once", report.cell(report.spread(bursts))],
        *([f"`{what}` with {n:,} finished runs", report.cell(report.spread(took))]
          for what, pair in rows.items() for n, took in zip((FEW, finished), pair))]))


if __name__ == "__main__":
    main()
