"""Guests that lie: each ends its run with the right class and status, in bounded time, and leaves
a clean host. The guest is tests/hostile/liar.c in the place of the agent."""
import json
import os
import time

import store
from e2e import *

LIAR = os.environ["LIAR"]
ESCAPED = os.environ["ESCAPED"]


def _lie(folder, name, *options):
    """Runs `true` in a guest that tells this lie; the result object and where its logs are."""
    os.chmod(folder, 0o700)
    images = f"{folder}/images"
    store.copy(f"{DATA}/images", images)
    with open(LIAR, "rb") as f:
        store.put_part(images, "initramfs", store.initramfs(f.read()),
                       cmdline=store.manifest(images)["cmdline"] + f" liar={name}")
    began = time.monotonic()
    with Nothing():
        r = lazaret("run", "--accel", "tcg", "--cold", "--machine", "q35", "--json", "--keep-logs", *options,
                    "--", "true", env={"LAZARET_DATA_DIR": folder})
    check(time.monotonic() - began < 60, "not in bounded time")
    check(all(b == 0x0a or 0x20 <= b < 0x7f for b in r.stdout + r.stderr), "raw bytes of the guest")
    return json.loads(r.stdout), f"{folder}/runs", r


def _is_tampering(folder, name, word=""):
    d, _, r = _lie(folder, name)
    equal((d["class"], d["status"], r.returncode), ("protocol", 120, 120), d.get("error"))
    check(word in d["error"], d["error"])


def garbage_is_tampering(folder):
    _is_tampering(folder, "garbage")


def a_wrong_nonce_is_tampering(folder):
    _is_tampering(folder, "wrong_nonce", "nonce")


def an_answer_before_the_question_is_tampering(folder):
    _is_tampering(folder, "ready_before_hello")


def a_guest_that_parks_unasked_is_tampering(folder):
    _is_tampering(folder, "parked_that_nobody_asked_for", "PARKED")


def a_guest_that_keeps_a_job_unasked_is_tampering(folder):
    _is_tampering(folder, "keeps_what_nobody_asked_for", "nobody asked for")


def output_of_a_job_that_is_not_there_is_tampering(folder):
    _is_tampering(folder, "output_of_no_job", "DATA")


def an_exit_of_a_job_that_is_not_there_is_tampering(folder):
    _is_tampering(folder, "exit_of_no_job", "EXIT")


def denials_of_a_job_that_is_not_there_are_tampering(folder):
    _is_tampering(folder, "denials_of_no_job", "DENIED")


def a_sync_that_nobody_asked_for_is_tampering(folder):
    _is_tampering(folder, "synced_that_nobody_asked_for", "SYNCED")


def a_flood_of_log_is_tampering(folder):
    _is_tampering(folder, "flood_of_log", "LOG")


def a_lying_length_is_tampering(folder):
    _is_tampering(folder, "lying_length")


def half_a_frame_and_power_off_is_the_guests_end(folder):
    d, _, r = _lie(folder, "half_a_frame_and_power_off")
    equal((d["class"], r.returncode), ("guest", 125), d.get("error"))


def terminal_escapes_never_arrive_raw(folder):
    d, logs, r = _lie(folder, "terminal_escapes")
    equal(r.returncode, 120)
    check(any("\\x1b" in note for note in d["notes"]), d["notes"])
    with open(f"{logs}/{d['id']}/console.log", "rb") as f:
        text = f.read()
    check(b"owned" in text, text)
    check(b"\x1b" not in text and b"\xff" not in text and b"\x07" not in text, text)


def a_job_that_is_the_guests_root_finds_no_way_out(folder):
    """tests/hostile/escaped.c in crun's place: with all rights that the agent has left."""
    os.chmod(folder, 0o700)
    images = f"{folder}/images"
    store.copy(f"{DATA}/images", images)
    with open(store.part(images, "initramfs"), "rb") as f, open(ESCAPED, "rb") as probe:
        whole = f.read()
        store.put_part(images, "initramfs", whole + bytes(-len(whole) % 4)
                       + store.archive(("usr/bin/crun", 0o100755, probe.read())))
    with Nothing():
        r = lazaret("run", "--accel", "tcg", "--cold", "--json", "--", "true", env={"LAZARET_DATA_DIR": folder})
    d = json.loads(r.stdout)
    equal(d["class"], "guest", d)
    found = dict(word.split("=", 1) for word in d["error"].split(": ")[-1].split())
    # One console and channel device, scratch and image, the source of entropy: no NIC, no other port.
    equal((found["net"], found["ports"]), ("lo", "lazaret.0"))
    equal(sorted(found["virtio"].split(",")), ["0x0002", "0x0002", "0x0003", "0x0004"])
    equal({d for d in found["disks"].split(",") if d != "-"}, {"lz-root", "lz-scratch"})
    equal((found["uid"], found["caps"], found["bound"], found["nnp"]), ("0", *2 * ["000000002b6401eb"], "1"))
    equal((found["lockdown"], found["yama"], found["cores"], found["oops"]),
          ("[confidentiality]", "1", "/dev/null", "1"))
    for way in ("image", "module", "kexec", "iopl", "mem", "kcore", "log", "trace"):
        check(found[way] in ("EPERM", "EACCES", "EROFS", "EIO", "ENOENT", "ENOSYS"), f"{way}: {found[way]}")


if __name__ == "__main__":
    main()
