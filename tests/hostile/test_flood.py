"""Floods of events from a hostile guest: what the host writes, keeps and computes of them is bounded, what
was left out is counted, and the run ends as any other. The guest is tests/hostile/liar_floods.c."""
import json
import os
from collections import Counter
from datetime import datetime

from e2e import *
from lies import tell
from preload import Preload

US, KIB, KEEPER = 1, 4, 1  # in cost.c
LOG, SEEN, SEEN_LINE = 65536, 256, 32  # WIRE_LOG_TOTAL and WIRE_SEEN_MAX of wire.h, LINE_ROWS of seen.c
WINDOWS = (163840, 49152)  # WIRE_WINDOW, WIRE_WINDOW_STDERR
BURST, RATE = 500, 50  # lines by the guest: lazaret-record(5)
TRIES = 80 * 256  # liar_floods.c
FOLDER_MAX = 2 << 20  # bytes of a run's folder: 1 MiB of them console, and its disk is away


def _time(line):
    return datetime.fromisoformat(line["time"][:26] + "+00:00").timestamp()


def _flooded(folder, name, *options):
    """The result, the lines of its record, and what its keeper took of the processor (us) and memory (KiB)."""
    cost = Preload(folder, "cost")
    d, logs, r = tell(folder, name, *options, env=cost.env(), seconds=240)
    equal((d["class"], d["status"], r.returncode), ("exited", 7, 7), d.get("error"))
    with open(f"{folder}/records/{d['id']}.jsonl", encoding="ascii") as f:
        lines = [json.loads(line) for line in f]
    said = finished(lazaret("verify", d["id"], env={"LAZARET_DATA_DIR": folder}))
    check(said.startswith(b"whole: "), said)
    size = sum(os.path.getsize(f"{at}/{name}") for at, _, names in os.walk(f"{logs}/{d['id']}") for name in names)
    print(f"# {name}: keeper {cost.get(US + KEEPER)} us, {cost.get(KIB + KEEPER)} KiB; QEMU {_of_qemu(lines)} us; "
          f"{len(lines)} lines, {_seconds(lines):.1f} s from exec to exit, folder {size}")
    check(size <= FOLDER_MAX, size)
    return d, lines, (cost.get(US + KEEPER), cost.get(KIB + KEEPER))


def _seconds(lines):
    """From the command's beginning to its end."""
    at = {line["type"]: _time(line) for line in lines}
    return at["exit"] - at["exec"]


def _of_qemu(lines):
    last = [line for line in lines if line["type"] == "sample"][-1]
    return (last["user_ns"] + last["system_ns"]) // 1000


def _bounded(lines, took, quiet):
    """What holds of any flood: the guest's lines are at its rate, the rest is counted, and it costs the keeper no
    memory and less of the processor than it costs the guest. Returns how many lines the guest had caused."""
    guest = [line for line in lines if line["by"] == "guest"]
    dropped = [line for line in lines if line["type"] == "dropped"]
    most = BURST + RATE * (_time(lines[-1]) - _time(lines[0]) + 1)
    check(len(guest) <= most, f"{len(guest)} lines by the guest, {most} at most")
    equal(sum(line["host"] for line in dropped), 0)
    check(took[1] - quiet[1] <= 4096, f"the keeper's peak grew from {quiet[1]} to {took[1]} KiB")
    check(took[0] <= _of_qemu(lines), f"the keeper had {took[0]} us, QEMU {_of_qemu(lines)}")
    return len(guest) + sum(line["guest"] for line in dropped)


def events_without_end_are_bounded_and_what_is_left_out_is_counted(folder):
    """As many words, denials, files and bytes of output as the protocol takes, a frame each; and tries of egress,
    as fast as they are refused."""
    for name in ("quiet", "loud", "tries"):
        os.mkdir(f"{folder}/{name}", 0o700)
    *_, quiet = _flooded(f"{folder}/quiet", "claims_of_all_ones")
    result, lines, took = _flooded(f"{folder}/loud", "flood_of_events")
    equal((len(result["stdout"]), len(result["stderr"])), WINDOWS)
    told = _bounded(lines, took, quiet)
    # Rows of files come in lines, with how many more there were and that it was blind; so do denials, at the
    # end and meanwhile.
    least = LOG + SEEN // SEEN_LINE + 3
    check(least <= told <= least + _seconds(lines) + 2, f"{told} lines written or counted, {least} and a few sent")
    check(any(line["type"] == "dropped" for line in lines), "nothing was left out: it was no flood")

    result, lines, took = _flooded(f"{folder}/tries", "flood_of_tries", "--allow", "https://example.org")
    _bounded(lines, took, quiet)
    kinds = Counter(line["type"] for line in lines)
    equal((kinds["egress"], len(result["egress"])), (16, 16))
    check(1 <= kinds["egress_again"] <= _seconds(lines) + 2, kinds)
    equal(sum(line["count"] for line in lines if line["type"] == "egress_again"), TRIES - 16)
    equal([line["tries"] for line in lines if line["type"] == "egress_sum"], [TRIES])
    equal(result["egress_left_out"], TRIES - 16)


if __name__ == "__main__":
    main()
