"""forks: rounds of cold, warm, fork, revert and exec beside bare QEMU that does the same with the same files,
and what N forks of one sandbox cost in memory. Used by start.py.

Bare QEMU gets the very command line that libvirt gave it, the files of the saved guest, and speaks
the protocol up to the job's exit. It checks no digest and has no namespaces: what is on top of it is
what the manager does.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import cold
import store
from cold import DATA, LAZARET, Peer

SMALL = ["--accel", "tcg", "--memory", "64M"]
VM = "/run/lz/vm/"


def lazaret(*args):
    r = subprocess.run([LAZARET, *args], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if r.returncode:
        sys.exit(f"{args}: {r.stderr.decode()}")
    return r.stdout


def timed(*args):
    began = time.monotonic()
    lazaret(*args)
    return time.monotonic() - began


def told(*args):
    """Seconds of a run, and what it says of its steps."""
    began = time.monotonic()
    out = lazaret("run", "--json", *args, "--", "true")
    return time.monotonic() - began, json.loads(out)["timing_us"]


def pooled():
    """The same of one in a guest that is ready; the next one is, when this returns."""
    began = time.monotonic()
    d = json.loads(lazaret("run", "--json", "--pool", "1", *SMALL, "--", "true"))
    took = time.monotonic() - began
    deadline = time.monotonic() + 120
    while [row["state"] for row in json.loads(lazaret("pool", "ls", "--json"))] != ["paused"]:
        if time.monotonic() > deadline:
            sys.exit("no guest of the pool became ready")
        time.sleep(0.05)
    return took, d.get("pooled", False)


def below(top):
    """Every process below this one: {pid: comm}."""
    parents, found = {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                text = f.read()
        except OSError:
            continue
        parents[int(pid)] = (int(text.rpartition(")")[2].split()[1]), text[text.index("(") + 1:text.rindex(")")])
    for pid, (_, comm) in parents.items():
        at = pid
        while at in parents and at != top:
            at = parents[at][0]
        if at == top:
            found[pid] = comm
    return found


def supervisor(name):
    with open(f"{DATA}/sandboxes/{name}/run.json", encoding="utf-8") as f:
        return json.load(f)["pid"]


def command_line(top):
    """Of the QEMU below this process."""
    pid = next(p for p, comm in below(top).items() if comm.startswith("qemu"))
    with open(f"/proc/{pid}/cmdline", encoding="utf-8") as f:
        return f.read().rstrip("\0").split("\0")


class Bare:
    """A guest that bare QEMU restores. `files`: what stands behind each name in VM."""

    def __init__(self, words, files, state):
        self.folder = tempfile.mkdtemp(prefix="lz-bench-")
        self.ram_apart = "ram" in files
        sockets = {"charmonitor": "qmp", "charserial0": "console", "charchannel0": "channel"}
        argv, skip = [], False
        for i, word in enumerate(words):
            if skip or (word == "-object" and "masterKey0" in words[i + 1]):
                skip = not skip
                continue
            for name, path in sorted(files.items(), key=lambda x: -len(x[0])):
                word = word.replace(f'{VM}{name}"', f'{path}"').replace(f"{VM}{name},", f"{path},")
            if word.startswith("socket,id="):
                name = word[10:word.index(",", 10)]
                word = f"socket,id={name},path={self.folder}/{sockets[name]},server=on,wait=off"
            argv.append(word.replace("guest=lazaret-", "guest=bare-"))
        if "-incoming" not in argv:
            argv += ["-incoming", "defer"]
        self.fd = os.open(state, os.O_RDONLY)
        self.qemu = subprocess.Popen(argv, pass_fds=(self.fd,), stdin=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)

    def restore(self):
        self.qmp = self._connect("qmp").makefile("rw")
        self.qmp.readline()
        self._say("qmp_capabilities")
        if self.ram_apart:
            self._say("migrate-set-capabilities",
                      capabilities=[{"capability": "x-ignore-shared", "state": True}])
        self._say("migrate-incoming", uri=f"fd:{self.fd}")
        while self._say("query-status")["status"] == "inmigrate":
            time.sleep(0.001)
        peer = Peer(f"{self.folder}/channel")
        self._say("cont")
        peer.hello()
        return peer

    def _connect(self, name):
        s = socket.socket(socket.AF_UNIX)
        while True:
            try:
                s.connect(f"{self.folder}/{name}")
                return s
            except (FileNotFoundError, ConnectionRefusedError):
                if self.qemu.poll() is not None:
                    sys.exit("bare QEMU did not start")
                time.sleep(0.001)

    def _say(self, command, **arguments):
        self.qmp.write(json.dumps({"execute": command, "arguments": arguments}))
        self.qmp.flush()
        while True:
            d = json.loads(self.qmp.readline())
            if "error" in d:
                sys.exit(f"bare QEMU: {d}")
            if "return" in d:
                return d["return"]

    def end(self):
        self.qemu.kill()
        self.qemu.wait()
        os.close(self.fd)
        shutil.rmtree(self.folder)


def bare(words, files, state, prepare, config):
    """Seconds to the end of a restored guest that ran one job; of one more job in it."""
    began = time.monotonic()
    prepare()
    b = Bare(words, files, state)
    try:
        peer = b.restore()
        peer.run(config)
        ran = time.monotonic()
        peer.run(config)
        again = time.monotonic() - ran
    finally:
        if sys.exc_info()[0]:
            b.end()
    ran = time.monotonic() - again
    b.end()
    return time.monotonic() - again - began, again


class Rounds:
    """What all rounds share: a parent with a mark that has been forked, and the files of bare QEMU."""

    def __init__(self, folder):
        self.folder = folder
        d = cold.preview(*SMALL[2:])
        xml = d["domain_xml"]
        self.plan, self.config = d["plan"], json.dumps(d["oci_config"]).encode()
        self.cmdline = xml[xml.index("<cmdline>") + 9:xml.index("</cmdline>")]
        lazaret("run", *SMALL, "--", "true")  # the saved guest
        pooled()
        p = subprocess.Popen([LAZARET, "run", *SMALL, "--", "sh", "-c", "echo up; exec sleep 600"],
                             stdout=subprocess.PIPE)
        p.stdout.readline()
        self.warm_words = command_line(p.pid)
        p.terminate()
        p.wait()
        lazaret("up", "parent", *SMALL)
        lazaret("snapshot", "parent", "m")
        lazaret("run", "--accel", "tcg", "--fork-from", "parent:m", "--", "true")
        lazaret("revert", "parent", "m")
        self.revert_words = command_line(supervisor("parent"))
        lazaret("fork", "parent:m", "child")
        self.fork_words = command_line(supervisor("child"))
        lazaret("down", "child")
        with open(f"{folder}/blank", "wb") as f:
            f.truncate(1 << 20)
        self.root = store.part(f"{DATA}/images", "root")
        self.box = f"{DATA}/sandboxes/parent"

    def files(self, **more):
        return {"root": self.root, "blank-input": f"{self.folder}/blank", **more}

    def bare_warm(self):
        key = json.loads(lazaret("warm", "ls", "--json"))[-1]["key"]
        scratch = f"{self.folder}/scratch"

        def prepare():
            if os.path.exists(scratch):
                os.unlink(scratch)
            subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-O", "^has_journal", "-m", "0",
                            scratch, str(self.plan["disk_bytes"] // 1024) + "k"], check=True,
                           stdout=subprocess.DEVNULL)
        return bare(self.warm_words, self.files(**{"scratch.raw": scratch, "scratch": scratch, "ram": f"{DATA}/warm/{key}/ram"}),
                    f"{DATA}/warm/{key}/state", prepare, self.config)

    def bare_fork(self):
        saved = f"{self.box}/marks/1.saved"
        saved = f"{saved}/{next(n for n in os.listdir(saved) if n != 'tmp')}"
        overlay, base = f"{self.folder}/overlay", f"{self.box}/marks/1.raw"

        def prepare():
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, overlay],
                           check=True)
        return bare(self.fork_words, self.files(**{"scratch.qcow2": overlay, "base.raw": base, "ram": f"{saved}/ram"}),
                    f"{saved}/state", prepare, self.config)

    def bare_revert(self):
        disk = f"{self.folder}/disk"
        shutil.copy(f"{self.box}/scratch.qcow2", disk)

        def prepare():
            subprocess.run(["qemu-img", "snapshot", "-q", "-a", "mark-1", disk], check=True)
        return bare(self.revert_words, self.files(**{"scratch.qcow2": disk}), f"{self.box}/marks/1", prepare,
                    self.config)

    def take(self, rows, steps):
        for way, options in (("cold", ["--cold"]), ("warm", [])):
            whole, timing = told(*SMALL, *options)
            rows[way][0].append(whole)
            steps[way].append(timing)
            if way == "cold":
                steps["bare"].append(cold.bare(self.plan, self.cmdline, self.config))
                rows["cold"][1].append(steps["bare"][-1]["whole"])
        rows["warm"][1].append(self.bare_warm()[0])
        whole, was_ready = pooled()
        if not was_ready:
            sys.exit("a guest that was ready was not taken")
        rows["pool"][0].append(whole)
        rows["pool"][1].append(rows["warm"][1][-1])
        rows["fork"][0].append(timed("run", "--accel", "tcg", "--fork-from", "parent:m", "--", "true"))
        whole, again = self.bare_fork()
        rows["fork"][1].append(whole)
        rows["exec"][0].append(timed("exec", "parent", "--", "true"))
        rows["exec"][1].append(again)
        began = time.monotonic()
        lazaret("revert", "parent", "m")
        lazaret("exec", "parent", "--", "true")
        rows["revert"][0].append(time.monotonic() - began)
        rows["revert"][1].append(self.bare_revert()[0])


def rollup(pid):
    row = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
        for line in f:
            word = line.split()
            if word[0] in ("Pss:", "Shared_Clean:", "Shared_Dirty:", "Private_Clean:", "Private_Dirty:"):
                row[word[0]] = int(word[1])
    return (row["Pss:"], row["Shared_Clean:"] + row["Shared_Dirty:"],
            row["Private_Clean:"] + row["Private_Dirty:"])


def measure_memory():
    """Of 1, 10 and 50 forks of the sandbox "parent", what each of its processes takes."""
    rows = []
    for n in (1, 10, 50):
        names = [f"copy-{i + 1}" for i in range(n)] if n > 1 else ["copy"]
        began = time.monotonic()
        lazaret("fork", *(["-n", str(n)] if n > 1 else []), "parent:m", "copy")
        took = time.monotonic() - began
        sums = {}
        for name in names:
            for pid, comm in below(supervisor(name)).items():
                duty = "QEMU" if comm.startswith("qemu") else "relay" if "relay" in comm else "keeper, init, supervisor"
                have = sums.setdefault(duty, [0, 0, 0])
                for i, kib in enumerate(rollup(pid)):
                    have[i] += kib
        for duty, kib in sorted(sums.items()):
            pss, shared, private = (round(k / 1024 / n, 1) for k in kib)
            rows.append({"forks": n, "process": duty, "pss_mib": pss, "shared_mib": shared, "private_mib": private,
                         "up_s_each": round(took / n, 4)})
        for name in names:
            lazaret("down", name)
    return rows
