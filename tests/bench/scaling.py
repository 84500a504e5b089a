"""scaling: time and memory by the size of the image, of the guest, of input and output, by the number of
sandboxes and of marks. What should be flat is flat, or the table says that it is not; what is linear has
its slope.

    scaling.py FOLDER [tiny]    writes scaling.json into FOLDER, tables in Markdown to stdout

`tiny` has sizes that show only that it works. Each point is the median of three; an image, a sandbox or a
mark more is not made three times.
"""
import importlib
import json
import os
import shutil
import statistics
import sys
import tarfile
import tempfile
import time

import crowd
import forks
import report
from cold import DATA
from forks import SMALL

imports = importlib.import_module("import")  # no name that can be written

MIB = 1 << 20
ROOM = 4  # times the largest image: its layer, its root, and what comes between
FLAT = 1.25  # the largest may be so many times the smallest
ROUNDS = 3
SIZES = {"image": (10, 100, 1024, 4096), "guest": (128, 512, 1024, 4096), "sandboxes": (1, 10, 50),
         "marks": (1, 10, 50), "input": (1, 64, 512), "output": (1, 64, 512)}
TINY = {"image": (1, 2), "guest": (128, 256), "sandboxes": (1, 2), "marks": (1, 2), "input": (1, 2), "output": (1, 2)}
TCG = ("--accel", "tcg")


class Noise:
    """A file of so many bytes that do not pack, no two of them alike, for tarfile."""

    def __init__(self, size, pool, number):
        self.left, self.pool, self.at = size, pool, 0
        self.first = number.to_bytes(8, "little")

    def read(self, n):
        n = min(n, self.left)
        piece = self.first if self.first and n >= 8 else b""
        self.first = b""
        while len(piece) < n:
            start = self.at % len(self.pool)
            more = self.pool[start:start + n - len(piece)]
            self.at += len(more)
            piece += more
        self.left -= n
        return piece


def random_layout(folder, mib):
    """An OCI layout with one layer of so much."""
    pool, path = os.urandom(64 * MIB), f"{folder}/layer.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for number, at in enumerate(range(0, mib, 256)):
            entry = tarfile.TarInfo(f"data/{number}")
            entry.size = min(256, mib - at) * MIB
            tar.addfile(entry, Noise(entry.size, pool, number))
        for name in ("bin", "work"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add(os.path.realpath("/bin/busybox"), "bin/true")
    sha256 = imports.digest(path)
    blobs = f"{folder}/layout/blobs/sha256"
    os.makedirs(blobs)
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{sha256}",
             "size": os.path.getsize(path)}
    os.rename(path, f"{blobs}/{sha256}")
    imports.finish_layout(f"{folder}/layout", [f"sha256:{sha256}"], [layer])


class Place:
    """A data folder of its own; `lazaret` in it."""

    def __init__(self, folder):
        self.folder = folder
        for part in ("images", "cache"):
            crowd.link_tree(f"{DATA}/{part}", f"{folder}/{part}")

    def do(self, *args):
        return crowd.timed_in(self.folder, *args)

    def often(self, *args):
        return statistics.median(self.do(*args) for _ in range(ROUNDS))

    def pids(self, name):
        with open(f"{self.folder}/sandboxes/{name}/run.json", encoding="utf-8") as f:
            return forks.below(json.load(f)["pid"])

    def pss_mib(self, name):
        return sum(forks.rollup(pid)[0] for pid in self.pids(name)) / 1024

    def start(self, *options):
        """Cold and warm, and what a sandbox takes of memory."""
        self.do("run", *TCG, *options, "--", "true")
        row = {"cold ms": self.often("run", *TCG, *options, "--cold", "--", "true") * 1000,
               "warm ms": self.often("run", *TCG, *options, "--", "true") * 1000}
        self.do("up", "scaling", *TCG, *options)
        try:
            row["memory MiB"] = self.pss_mib("scaling")
        finally:
            self.do("down", "scaling")
        return row


def by_image(place, mib):
    with tempfile.TemporaryDirectory(prefix="bench-", dir=DATA) as folder:
        random_layout(folder, mib)
        took = place.do("image", "import", f"oci:{folder}/layout", "-t", "scaling")
    row = {"import ms": took * 1000, **place.start("--memory", "64M", "--image", "scaling")}
    place.do("image", "rm", "scaling")
    place.do("image", "prune")
    return row


def by_guest(place, mib):
    return place.start("--memory", f"{mib}M")


def by_sandboxes(place, sizes):
    rows, names = {}, []
    try:
        for n in range(1, max(sizes) + 1):
            took = place.do("up", f"box-{n}", *SMALL)
            names.append(f"box-{n}")
            if n in sizes:
                rows[n] = {"up ms": took * 1000, "exec ms": place.often("exec", "box-1", "--", "true") * 1000,
                           "ls ms": place.often("ls") * 1000,
                           "memory of each MiB": sum(map(place.pss_mib, names)) / n}
    finally:
        for name in names:
            place.do("down", name)
    return rows


def by_marks(place, sizes):
    rows = {}
    place.do("up", "marked", *SMALL, "--max-marks", str(max(sizes)))
    try:
        for n in range(1, max(sizes) + 1):
            place.do("exec", "marked", "--", "sh", "-c", f"head -c 1000000 /dev/urandom > /work/{n}")
            took = place.do("snapshot", "marked", f"m{n}")
            if n in sizes:
                rows[n] = {"snapshot ms": took * 1000, "revert ms": place.do("revert", "marked", f"m{n}") * 1000,
                           "exec ms": place.often("exec", "marked", "--", "true") * 1000,
                           "on the disk MiB": used_mib(f"{place.folder}/sandboxes/marked")}
    finally:
        place.do("down", "marked")
    return rows


def used_mib(top):
    return sum(os.lstat(f"{path}/{name}").st_blocks * 512 for path, _, names in os.walk(top) for name in names) / MIB


def by_input(place, mib):
    with tempfile.TemporaryDirectory(prefix="bench-", dir=DATA) as folder:
        os.mkdir(f"{folder}/in")
        with open(f"{folder}/in/data", "wb") as f:
            for _ in range(mib):
                f.write(os.urandom(MIB))
        return {"run ms": place.often("run", *SMALL, "--in", f"{folder}/in", "--in-max", "2G", "--", "true") * 1000}


def by_output(place, mib):
    row = {"stdout ms": place.often("run", *SMALL, "--", "head", "-c", str(mib * MIB), "/dev/zero") * 1000}
    took = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="bench-", dir=DATA) as folder:
            took.append(place.do("run", *SMALL, "--disk", "2G", "--out-max", "2G", "--out", f"{folder}/out", "--", "sh",
                                 "-c", f"head -c {mib * MIB} /dev/zero > /out/data"))
    return {**row, "--out ms": statistics.median(took) * 1000}


# (axis, its unit, what it is by, columns that should be flat)
ONE_BY_ONE = (("image", "MiB", by_image, ("cold ms", "warm ms", "memory MiB")),
              ("guest", "MiB", by_guest, ("cold ms", "warm ms", "memory MiB")),
              ("input", "MiB", by_input, ()), ("output", "MiB", by_output, ()))
AT_ONCE = (("sandboxes", "of them", by_sandboxes, ("up ms", "exec ms", "memory of each MiB")),
           ("marks", "of them", by_marks, ("snapshot ms", "revert ms", "exec ms")))


def slope(points):
    """Least squares, of [(x, y)]."""
    x, y = zip(*points)
    return statistics.linear_regression(x, y).slope


def judge(rows, flat):
    """For each column: how much more the largest takes than the smallest, and what one more costs."""
    out, sizes = {}, sorted(rows)
    for column in rows[sizes[0]]:
        points = [(size, rows[size][column]) for size in sizes]
        growth = points[-1][1] / points[0][1]
        out[column] = {"should_be_flat": column in flat, "growth": round(growth, 2),
                       "slope": float(f"{slope(points):.3g}"),
                       "flat": growth <= FLAT}
    return out


def say(verdict):
    if verdict["flat"]:
        return "flat"
    line = f"{verdict['slope']:+g} each"
    return f"**not flat**: {line}" if verdict["should_be_flat"] else line


def main():
    folder = sys.argv[1]
    sizes = TINY if sys.argv[2:] == ["tiny"] else SIZES
    if shutil.disk_usage(DATA).free < (need := ROOM * max(sizes["image"]) * MIB):
        sys.exit(f"scaling: it needs {need >> 30} GiB of disk for a while")
    machine, measured = report.machine("tcg"), {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=DATA) as top:
        place, began = Place(top), time.monotonic()
        place.do("run", *SMALL, "--", "true")  # what later ones begin with
        for axis, unit, at_once, flat in AT_ONCE:
            measured[axis] = unit, flat, at_once(place, sizes[axis])
            print(f"{time.monotonic() - began:.0f} s: {axis}", file=sys.stderr)
        for axis, unit, one, flat in ONE_BY_ONE:
            measured[axis] = unit, flat, {}
            for size in sizes[axis]:
                measured[axis][2][size] = one(place, size)
                print(f"{time.monotonic() - began:.0f} s: {axis} {size}", file=sys.stderr)
    out = {axis: {"unit": unit, "rows": rows, "verdicts": judge(rows, flat)}
           for axis, (unit, flat, rows) in measured.items()}
    os.makedirs(folder, exist_ok=True)
    report.write_json(f"{folder}/scaling.json", {"machine": machine, "axes": out})
    print(report.machine_line(machine, report.machine("tcg")), end="\n\n")
    for axis, (unit, flat, rows) in measured.items():
        columns = list(next(iter(rows.values())))
        print(report.table([f"{axis}, {unit}", *columns], [
            *([size, *(f"{rows[size][c]:.{0 if rows[size][c] >= 100 else 1}f}" for c in columns)] for size in rows),
            ["", *(say(out[axis]["verdicts"][c]) for c in columns)]]), end="\n\n")


if __name__ == "__main__":
    main()
