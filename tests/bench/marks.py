"""marks: many marks of one sandbox: what each costs, and that number 7 is what it was: files by their
hash, and what a process holds in its memory only.

marks.py [COUNT]    default 50; the status is 1 if something is not as it was
"""
import json
import os
import statistics
import subprocess
import sys
import time

LAZARET = os.environ["LAZARET"]
BACK_TO = 7
# A process whose memory holds the last word that it was told.
HOLDER = """
mine=none
while :; do
    if [ -e /work/.set ]; then read mine < /work/.set; rm /work/.set; fi
    if [ -e /work/.ask ]; then rm /work/.ask; echo $mine > /work/.told; fi
    sleep 0.2
done
"""
FILES = "cat /work/[0-9]* | sha256sum"


def lazaret(*args):
    began = time.monotonic()
    r = subprocess.run([LAZARET, *args], capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=600)
    if r.returncode:
        sys.exit(f"{args}: {r.stderr.decode()}")
    return r.stdout.decode().strip(), time.monotonic() - began


def inside(script):
    return lazaret("exec", "many", "--timeout", "60", "--", "sh", "-c", script)[0]


def told():
    return inside("rm -f /work/.told; touch /work/.ask; until [ -s /work/.told ]; do sleep 0.2; done;"
                  " cat /work/.told")


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    sums, snapshots, grown = {}, [], []
    lazaret("up", "many", "--accel", "tcg", "--memory", "64M", "--max-marks", str(count))
    try:
        lazaret("exec", "-d", "many", "--", "sh", "-c", HOLDER)
        for n in range(1, count + 1):
            sums[n] = inside(f"head -c 1000000 /dev/urandom > /work/{n}; echo word-{n} > /work/.new;"
                             f" mv /work/.new /work/.set; while [ -e /work/.set ]; do sleep 0.2; done; {FILES}")
            snapshots.append(lazaret("snapshot", "many", f"m{n}")[1])
            d = json.loads(lazaret("marks", "--json", "many")[0])
            grown.append((d["marks_bytes"], d["disk_bytes"]))
        _, back = lazaret("revert", "many", f"m{BACK_TO}")
        same = inside(FILES) == sums[BACK_TO] and told() == f"word-{BACK_TO}"
        _, forth = lazaret("revert", "many", f"m{count}")
        same = same and inside(FILES) == sums[count] and told() == f"word-{count}"
    finally:
        lazaret("down", "many")
    mib = [(m / 2**20, disk / 2**20) for m, disk in grown]
    print(f"{count} marks, each after 1 MB of new files; MiB on the host:\n")
    print("| marks | memory of all | disk | snapshot s |\n|---|---|---|---|")
    for n in sorted({1, BACK_TO, count // 2, count}):
        print(f"| {n} | {mib[n - 1][0]:.0f} | {mib[n - 1][1]:.0f} | {snapshots[n - 1]:.2f} |")
    print(f"\nA mark costs {(mib[-1][0] - mib[0][0]) / (count - 1):.0f} MiB of memory and"
          f" {(mib[-1][1] - mib[0][1]) / (count - 1):.1f} MiB of disk. A snapshot takes"
          f" {statistics.median(snapshots):.2f} s [{min(snapshots):.2f}..{max(snapshots):.2f}], going back"
          f" to number {BACK_TO} {back:.2f} s, to number {count} {forth:.2f} s.")
    print(f"Files and memory are {'as they were' if same else 'NOT as they were'}.")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
