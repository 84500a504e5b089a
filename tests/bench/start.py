"""start: `true` in a guest, by each way to begin one, beside bare QEMU with the same files to the same point,
and where the time of a cold and of a warm run goes.

    start.py ROUNDS FOLDER    writes start.json and start.svg into FOLDER, tables in Markdown to stdout

Each round runs everything once, lazaret and bare QEMU by turns, so that what else the machine does hits
both; medians and spread of all rounds. What is measured ends with a command that ran, never earlier.
"""
import os
import sys
import tempfile

import forks
import report

WAYS = {"cold": "`run --cold`", "warm": "`run`, warm", "fork": "`run --fork-from` a mark that was forked before",
        "revert": "`revert`, and `exec` in what came back", "exec": "`exec`"}
# (what, over, under, at most); each side is a way and who: 0 lazaret, 1 bare QEMU.
TARGETS = (("cold / bare QEMU", ("cold", 0), ("cold", 1), 1.15), ("warm / cold", ("warm", 0), ("cold", 0), 0.25),
           ("warm / bare QEMU restoring the same", ("warm", 0), ("warm", 1), 2.0),
           ("fork / warm", ("fork", 0), ("warm", 0), 1.5))
# Of bare QEMU's steps: what a run calls them.
BARE_STEPS = {"prepare": "disks", "start": "qemu", "boot": "hello", "job": "job", "down": "down"}


def steps_table(steps):
    cells = []
    for step in [*steps["cold"][0]]:
        cold, warm = ([t[step] / 1e6 for t in steps[way]] for way in ("cold", "warm"))
        cells.append([step, report.cell(report.spread(cold)), report.cell(report.spread(warm))])
    return report.table(["step of a run, ms", "cold", "warm"], cells)


def median_bar(timings):
    """The run that took the median time, step by step: medians of each step would not add up."""
    middle = sorted(timings, key=lambda t: t["whole"])[len(timings) // 2]
    return {s: us / 1000 for s, us in middle.items() if s != "whole"}


def bare_bar(runs):
    middle = sorted(runs, key=lambda r: r["whole"])[len(runs) // 2]
    return {BARE_STEPS[s]: middle[s] * 1000 for s in BARE_STEPS}


def measure(rounds):
    rows = {way: ([], []) for way in WAYS}
    steps = {"cold": [], "warm": [], "bare": []}
    with tempfile.TemporaryDirectory(prefix="lz-bench-") as folder:
        try:
            r = forks.Rounds(folder)
            r.take({way: ([], []) for way in WAYS}, {s: [] for s in steps})  # the page cache, for both
            for i in range(rounds):
                r.take(rows, steps)
                print(f"round {i + 1} of {rounds}", file=sys.stderr)
            memory = forks.measure_memory()
        finally:
            if os.path.exists(f"{forks.DATA}/sandboxes/parent"):
                forks.lazaret("down", "parent")
    return rows, steps, memory


def main():
    rounds, folder = int(sys.argv[1]), sys.argv[2]
    before = report.machine("tcg")
    rows, steps, memory = measure(rounds)
    after = report.machine("tcg")
    pairs = {way: {"lazaret": report.spread(ours), "bare": report.spread(bare), **report.ratio(ours, bare)}
             for way, (ours, bare) in rows.items()}
    targets = [{"what": what, "at_most": most, **report.ratio(rows[a][i], rows[b][j])}
               for what, (a, i), (b, j), most in TARGETS]
    os.makedirs(folder, exist_ok=True)
    report.write_json(f"{folder}/start.json", {"machine": before, "load_after": after["load"], "rounds": rounds,
                                               "ways": pairs, "targets": targets, "memory": memory,
                                               "steps_us": {way: steps[way] for way in ("cold", "warm")}})
    report.write_svg(f"{folder}/start.svg", "lazaret run -- true: the run of median time, by its steps",
                     {"cold": median_bar(steps["cold"]), "bare, cold": bare_bar(steps["bare"]),
                      "warm": median_bar(steps["warm"])})
    print(report.machine_line(before, after))
    print(f"{rounds} interleaved rounds; ms, median [min..max]; ratios of medians, [of single pairs].\n")
    print(report.table(["`true`, by", "lazaret", "bare QEMU", "ratio"],
                       [[WAYS[w], report.cell(p["lazaret"]), report.cell(p["bare"]),
                         f"{p['ratio']} [{p['min']}..{p['max']}]"] for w, p in pairs.items()]), end="\n\n")
    print(report.table(["ratio", "is", "may be"],
                       [[t["what"], f"{t['ratio']} [{t['min']}..{t['max']}]", t["at_most"]] for t in targets]),
          end="\n\n")
    print(steps_table(steps), end="\n\n")
    print(report.table(["forks", "process", "PSS MiB each", "shared", "private"],
                       [[m["forks"], m["process"], m["pss_mib"], m["shared_mib"], m["private_mib"]] for m in memory]))
    print(f"\nwritten: {folder}/start.json, {folder}/start.svg")


if __name__ == "__main__":
    main()
