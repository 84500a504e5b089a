"""seeds: writes the seeds that a script makes into tests/fuzz/corpus, or says which are not what it makes.

    SCRIPT            write them
    SCRIPT --check    compare with those in git: one that differs was made for another layout
"""
import os
import sys

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def _read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


def _write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def put(seeds):
    """`seeds`: {target: {name: bytes}}. Does not return if one is stale."""
    check = sys.argv[1:] == ["--check"]
    stale = []
    for target, files in seeds.items():
        for name, data in files.items():
            path = os.path.join(CORPUS, target, name)
            if not check:
                _write(path, data)
            elif _read(path) != data:
                stale.append(f"{target}/{name}")
    if stale:
        print(*stale, sep="\n")
        sys.exit(f"{len(stale)} seeds are stale: run {os.path.basename(sys.argv[0])} and commit what it writes")
