"""start: `true` in a guest, by each way to begin one, beside bare QEMU with the same files to the same point,
where the time of a cold and of a warm run goes, and what the record of a warm one costs of the processor.

    start.py ROUNDS FOLDER    writes start.json and start.svg into FOLDER, tables in Markdown to stdout

Each round runs everything once, lazaret and bare QEMU by turns, so that what else the machine does hits
both; medians and spread of all rounds. What is measured ends with a command that ran, never earlier.
"""
import os
import statistics
import sys
import tempfile

import forks
import record
import report

WAYS = {"cold": "`run --cold`", "warm": "`run`, warm",
        "pool": "`run --pool`, in a guest that is ready", "fork": "`run --fork-from` a mark that was forked before",
        "revert": "`revert`, and `exec` in what came back", "exec": "`exec`"}
# Steps of a run before the guest's CPU starts (the saved state is in by then), and who does them.
MANAGER, LIBVIRT = ("parse", "begin", "image", "disks", "xml", "saved"), ("libvirt", "qemu")
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


def sums_ms(timings, names):
    return [sum(t[n] for n in names) / 1000 for t in timings]


def teardown_ms(wholes, timings):
    """From the job's exit to the prompt. What the steps do not cover, before the first and after the last of
    them, counts as after."""
    return [(t["collect"] + t["down"]) / 1000 + whole * 1000 - t["whole"] / 1000
            for whole, t in zip(wholes, timings)]


def targets_of(rows, steps, memory, records):
    cold, warm = rows["cold"], rows["warm"]
    idle = [m for m in memory if m["forks"] == max(m["forks"] for m in memory)]
    private = sum(m["private_mib"] for m in idle)
    out = [report.target("cold run / bare QEMU to the same point", *cold, at_most=1.15),
           report.target("warm run / cold", warm[0], cold[0], at_most=0.15),
           report.target("warm run / bare QEMU restoring the same", *warm, at_most=2.0),
           report.target("the same with --pool", *rows["pool"], at_most=1.0)]
    for way in ("cold", "warm"):
        own, both = sums_ms(steps[way], MANAGER), sums_ms(steps[way], MANAGER + LIBVIRT)
        out += [report.target(f"{way}: libvirt and manager before the guest's first instruction", both, at_most=90, unit="ms"),
                report.target(f"{way}: the manager's own part of that", own, at_most=15, unit="ms")]
    return out + [
        record.target(records),
        report.target("teardown of a warm run: from job exit to prompt", teardown_ms(warm[0], steps["warm"]), at_most=60,
                      unit="ms"),
        report.target("private memory of an idle fork, all of its processes, of 50", [private], at_most=20, unit="MiB"),
        report.target("50 forks: time of each / a warm run", [idle[0]["up_s_each"]],
                      [statistics.median(warm[0])], at_most=1.0)]


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
            records = record.measure(folder, rounds)
        finally:
            forks.lazaret("pool", "rm")
            if os.path.exists(f"{forks.DATA}/sandboxes/parent"):
                forks.lazaret("down", "parent")
    return rows, steps, memory, records


def main():
    rounds, folder = int(sys.argv[1]), sys.argv[2]
    before = report.machine("tcg")
    rows, steps, memory, records = measure(rounds)
    after = report.machine("tcg")
    pairs = {way: {"lazaret": report.spread(ours), "bare": report.spread(bare), **report.ratio(ours, bare)}
             for way, (ours, bare) in rows.items()}
    report.write_part(folder, "start", before, rounds, targets_of(rows, steps, memory, records),
                      {"ways": pairs, "memory": memory, "record_cpu_s": dict(zip(("with", "without"), records)),
                       "steps_us": {way: steps[way] for way in ("cold", "warm")}})
    report.write_svg(f"{folder}/start.svg", "lazaret run -- true: the run of median time, by its steps",
                     {"cold": median_bar(steps["cold"]), "bare, cold": bare_bar(steps["bare"]),
                      "warm": median_bar(steps["warm"])})
    print(report.machine_line(before, after))
    print(f"{rounds} interleaved rounds; ms, median [min..max]; ratios of medians, [of single pairs].\n")
    print(report.table(["`true`, by", "lazaret", "bare QEMU", "ratio"],
                       [[WAYS[w], report.cell(p["lazaret"]), report.cell(p["bare"]),
                         f"{p['ratio']} [{p['min']}..{p['max']}]"] for w, p in pairs.items()]), end="\n\n")
    print(steps_table(steps), end="\n\n")
    print(record.table(records), end="\n\n")
    print(report.table(["forks", "process", "PSS MiB each", "shared", "private"],
                       [[m["forks"], m["process"], m["pss_mib"], m["shared_mib"], m["private_mib"]] for m in memory]))
    print(f"\nwritten: {folder}/start.json, {folder}/start.svg")


if __name__ == "__main__":
    main()
