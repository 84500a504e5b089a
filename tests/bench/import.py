"""import: `lazaret image import` of an image of 1 GiB (two layers, 50,000 files), beside mkfs.erofs on
the unpacked tree and one decompression of the layers; and the memory of each process of it.

Interleaved in one run; medians. erofs-utils is needed here and nowhere else.
"""
import hashlib
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

import store

LAZARET = os.environ["LAZARET"]
DATA = os.environ["LAZARET_DATA_DIR"]
FILES, SIZE = 25000, 21000  # of a layer; mean bytes of a file


def make_tar(path, layer):
    """Files with sizes and contents like a package tree's: words, and a third that does not pack."""
    rnd = random.Random(layer)
    words = [rnd.randbytes(6).hex().encode()[:rnd.randint(2, 12)] for _ in range(4096)]
    pool = b" ".join(rnd.choices(words, k=600000)) + rnd.randbytes(2 << 20)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for i in range(FILES):
            entry = tarfile.TarInfo(f"usr/lib/package{i % 500:03d}/layer{layer}/file{i:05d}.py")
            entry.size = min(int(rnd.expovariate(1 / SIZE)) + 1, 1 << 20)
            entry.mtime = 1600000000
            at = rnd.randrange(len(pool) - 4096)
            data = (pool[at:at + 65536] * (entry.size // 4096 + 1))[:entry.size]
            tar.addfile(entry, io.BytesIO(data))


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def put(blobs, data):
    sha256 = hashlib.sha256(data).hexdigest()
    with open(f"{blobs}/{sha256}", "wb") as f:
        f.write(data)
    return {"digest": f"sha256:{sha256}", "size": len(data)}


def make_layout(folder):
    """Returns the paths of the packed layers; the tree of both is FOLDER/tree."""
    blobs = f"{folder}/layout/blobs/sha256"
    os.makedirs(blobs)
    os.mkdir(f"{folder}/tree")
    kind = "application/vnd.oci.image."
    contents, layers, packed = [], [], []
    for number in range(2):
        path = f"{folder}/layer.tar"
        make_tar(path, number)
        subprocess.run(["tar", "-xf", path, "-C", f"{folder}/tree"], check=True)
        contents.append(f"sha256:{digest(path)}")
        subprocess.run(["gzip", "-6", path], check=True)
        sha256 = digest(path + ".gz")
        packed.append(f"{blobs}/{sha256}")
        os.rename(path + ".gz", packed[-1])
        layers.append({"mediaType": kind + "layer.v1.tar+gzip", "digest": f"sha256:{sha256}",
                       "size": os.path.getsize(packed[-1])})
    finish_layout(f"{folder}/layout", contents, layers)
    return packed


def finish_layout(folder, contents, layers):
    """The blobs of the layers are there."""
    blobs, kind = f"{folder}/blobs/sha256", "application/vnd.oci.image."
    config = put(blobs, json.dumps({"os": "linux", "architecture": "amd64",
                                    "rootfs": {"type": "layers", "diff_ids": contents}}).encode())
    manifest = put(blobs, json.dumps({"schemaVersion": 2, "layers": layers, "config": {
        "mediaType": kind + "config.v1+json", **config}}).encode())
    with open(f"{folder}/index.json", "w", encoding="utf-8") as f:
        json.dump({"manifests": [{"mediaType": kind + "manifest.v1+json", **manifest}]}, f)
    with open(f"{folder}/oci-layout", "w", encoding="utf-8") as f:
        f.write('{"imageLayoutVersion": "1.0.0"}')


def family(pid):
    """{pid: (name, RSS in bytes)} of a process and all below it."""
    found, ask = {}, [pid]
    while ask:
        pid = ask.pop()
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
                name = f.read().strip()
            with open(f"/proc/{pid}/statm", encoding="ascii") as f:
                found[pid] = (name, int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE"))
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
                ask += map(int, f.read().split())
        except OSError:
            continue
    return found


def timed_import(layout, data, peaks):
    began = time.monotonic()
    env = {**os.environ, "LAZARET_DATA_DIR": data}
    child = subprocess.Popen([LAZARET, "image", "import", f"oci:{layout}", "-t", "bench"], env=env,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while child.poll() is None:
        alive = family(child.pid)
        for name, rss in alive.values():
            peaks[name] = max(peaks.get(name, 0), rss)
        peaks["together"] = max(peaks.get("together", 0), sum(rss for _, rss in alive.values()))
        time.sleep(0.01)
    if child.returncode:
        sys.exit(f"import failed: {child.stderr.read().decode()}")
    return time.monotonic() - began


def timed(argv):
    began = time.monotonic()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    if not shutil.which("mkfs.erofs"):
        print("import: mkfs.erofs is not here (apt-get install erofs-utils)")
        return
    with tempfile.TemporaryDirectory(prefix="lz-bench-") as folder:
        packed = make_layout(folder)
        os.mkdir(f"{folder}/data", 0o700)
        store.copy(f"{DATA}/images", f"{folder}/data/images")
        times = {"import": [], "mkfs.erofs": [], "gzip -dc": []}
        peaks = {}
        for _ in range(rounds):
            os.sync()
            times["import"].append(timed_import(f"{folder}/layout", f"{folder}/data", peaks))
            os.sync()
            times["mkfs.erofs"].append(timed(["mkfs.erofs", "-T0", f"{folder}/erofs", f"{folder}/tree"]))
            os.remove(f"{folder}/erofs")
            times["gzip -dc"].append(timed(["gzip", "-dc", *packed]))
        root = os.path.getsize(store.part(f"{folder}/data/images", "root", "bench"))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"import: {name}: {medians[name]:.2f} s [{min(values):.2f}..{max(values):.2f}], n={rounds}")
    ratio = medians["import"] / (medians["mkfs.erofs"] + medians["gzip -dc"])
    print(f"import: ratio to mkfs.erofs and one decompression: {ratio:.2f} (at most 1.5)")
    print(f"import: root of {root >> 20} MiB; largest RSS in MiB:",
          ", ".join(f"{name} {rss / (1 << 20):.0f}" for name, rss in sorted(peaks.items())),
          "(at most 64 each)")
    if ratio > 1.5 or any(rss > 64 << 20 for name, rss in peaks.items() if name != "together"):
        sys.exit("import: over its target")


if __name__ == "__main__":
    main()
