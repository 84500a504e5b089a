"""`lazaret prove`: what is promised holds, and what was broken on purpose is named."""
import json
import os
import shutil
import subprocess

from e2e import *
from preload import Preload


def _prove(*args, status=0):
    d = json.loads(finished(lazaret("prove", "--json", *args, timeout=240), status))
    equal((d["format"], d["version"]), ("lazaret-proof", 1))
    rows = {r["name"]: r for r in d["rows"]}
    equal(len(rows), len(d["rows"]))
    equal(len(rows), d["holds"] + d["broken"] + d["absent"])
    return {name: (r["verdict"], r["seen"]) for name, r in rows.items()}


def _all_hold(rows):
    broken = {n: r for n, r in rows.items() if r[0] == "broken"}
    equal(broken, {})
    # What only some hosts have.
    equal({n for n, r in rows.items() if r[0] == "absent"} - {"qemu-cgroup", "qemu-label"}, set())
    check(len(rows) >= 35, rows)


def everything_promised_holds_on_both_machines():
    with Nothing():
        for machine in ("microvm", "q35"):
            _all_hold(_prove("--accel", "tcg", "--machine", machine))


RELABEL = 3  # in breach.c


def a_sandbox_that_lives_is_proven_and_what_was_broken_is_named(folder):
    breach = Preload(folder, "breach")
    with Nothing():
        finished(lazaret("up", "proven", "--accel", "tcg", "--pids", "32", "--memory", "128M", "--writable",
                         env=environment(**breach.env())))
        rows = _prove("proven")
        _all_hold(rows)
        equal(rows["job-processes"][1], "no more than 32 could be made")
        text = finished(lazaret("prove", "proven", timeout=240)).decode().splitlines()
        check(text[-1].endswith("0 broken, " + text[-1].split(", ")[-1]), text[-1])
        qemu = next(pid for pid, line in processes().items() if "guest=lazaret-proven" in line)
        breach.set(0, RELABEL)
        rows = _prove("proven", status=1)
        equal({n for n, r in rows.items() if r[0] == "broken"}, {"shape"})
        check("seclabel@relabel=no" in rows["shape"][1], rows["shape"])
        breach.set(0, 0)
        # Only root can break a live one: here with a network card where QEMU is.
        if os.geteuid() == 0 and shutil.which("ip"):
            subprocess.run(["nsenter", "-t", str(qemu), "-n", "ip", "link", "add", "breach", "type", "veth"],
                           check=True)
            rows = _prove("proven", status=1)
            # The relay is in the same namespace.
            equal({n for n, r in rows.items() if r[0] == "broken"}, {"qemu-network", "relay-network"})
            check("breach" in rows["qemu-network"][1] or "veth" in rows["qemu-network"][1], rows)
        finished(lazaret("down", "proven"))


LIMITS = ("--cpu-time", "2", "--open-files", "200", "--pids", "40", "--memory", "128M", "--tmp", "8M", "--disk", "64M")
DECLARED = ("--read", "/etc/passwd", "--write", "/tmp", "--write", "/work", "--exec", "/bin/ls")


class Plan:
    """The plan that `prove` holds a sandbox to: what its keeper has in memory stays what it was."""

    def __init__(self, name):
        self.path = f"{DATA}/sandboxes/{name}/plan.json"
        with open(self.path, encoding="utf-8") as f:
            self.text = f.read()

    def change(self, changes):
        d = json.loads(self.text)
        for key, value in changes.items():
            check(key in d, f"a plan has no '{key}'")
            d[key] = value
        with open(self.path, "w", encoding="utf-8") as f:
            json.dump(d, f)


def what_a_plan_limits_and_declares_is_tried_and_another_plan_does_not_hold():
    with Nothing():
        finished(lazaret("up", "limited", "--accel", "tcg", "--allow", "https://example.org", *LIMITS, *DECLARED))
        rows = _prove("limited")
        _all_hold(rows)
        equal(rows["job-limits"][1], "no core dumps, files 200, CPU seconds 2")
        equal(rows["job-cgroup"][1], "memory 128 MiB, no swap, 41 processes, CPU weight 25")
        # Of paths to read one is the list of resolvers, with a way out.
        for row, verb, n in (("read-paths", "read", 2), ("write-paths", "written", 2), ("programs", "executed", 1)):
            text = rows[f"job-{row}"][1]
            check(text.startswith(f"{n} declared can be {verb}, ") and " 0 that are not" not in text, text)
        plan = Plan("limited")
        d = json.loads(plan.text)
        plan.change({"cpu_time_ms": 1000, "pids": 39, "memory_bytes": 100 << 20, "disk_bytes": 32 << 20,
                     "tmp_bytes": 4 << 20, "uid": 1001, "read": d["read"] + ["/etc/group"]})
        rows = _prove("limited", status=1)
        equal({n for n, r in rows.items() if r[0] == "broken"},
              {"job-limits", "job-processes", "job-memory", "job-cgroup", "job-disk", "job-tmp", "job-user",
               "job-read-paths", "job-write-paths", "job-programs"})
        equal(rows["gateway-core"][0], "holds")
        equal(rows["job-limits"][1], "CPU seconds: 2, at most 3, in place of the plan's")
        finished(lazaret("down", "limited"))


def what_is_wrong_with_the_command_line_is_said():
    one_line_error(lazaret("prove", "--memory", "64M", "box"), 125, "--json")
    one_line_error(lazaret("prove", "nosuch"), 125, "nosuch")
    one_line_error(lazaret("prove", "--timeout", "3"), 125, "exec")
    one_line_error(lazaret("prove", "--max-marks", "3"), 125, "marks")


if __name__ == "__main__":
    main()
