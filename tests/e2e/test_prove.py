"""`lazaret prove`: what is promised holds, and what was broken on purpose is named."""
import json
import os
import shutil
import subprocess

from e2e import *


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


def a_sandbox_that_lives_is_proven_and_what_was_broken_is_named():
    with Nothing():
        finished(lazaret("up", "proven", "--accel", "tcg", "--pids", "32", "--memory", "128M", "--writable"))
        rows = _prove("proven")
        _all_hold(rows)
        equal(rows["job-processes"][1], "no more than 32 could be made")
        text = finished(lazaret("prove", "proven", timeout=240)).decode().splitlines()
        check(text[-1].endswith("0 broken, " + text[-1].split(", ")[-1]), text[-1])
        qemu = next(pid for pid, line in processes().items() if "guest=lazaret-proven" in line)
        # Only root can break a live one: here with a network card where QEMU is.
        if os.geteuid() == 0 and shutil.which("ip"):
            subprocess.run(["nsenter", "-t", str(qemu), "-n", "ip", "link", "add", "breach", "type", "veth"],
                           check=True)
            rows = _prove("proven", status=1)
            # The relay is in the same namespace.
            equal({n for n, r in rows.items() if r[0] == "broken"}, {"qemu-network", "relay-network"})
            check("breach" in rows["qemu-network"][1] or "veth" in rows["qemu-network"][1], rows)
        finished(lazaret("down", "proven"))


def what_is_wrong_with_the_command_line_is_said():
    one_line_error(lazaret("prove", "--memory", "64M", "box"), 125, "--json")
    one_line_error(lazaret("prove", "nosuch"), 125, "nosuch")
    one_line_error(lazaret("prove", "--timeout", "3"), 125, "exec")
    one_line_error(lazaret("prove", "--max-marks", "3"), 125, "marks")


if __name__ == "__main__":
    main()
