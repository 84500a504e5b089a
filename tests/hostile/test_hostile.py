"""Guests that lie: each ends its run with the right class and status, in bounded time, and leaves
a clean host. The guest is tests/hostile/liar.c in the place of the agent."""
import json
import os
import shutil
import subprocess

import store
from e2e import *
from lies import arguments, put_liar, tell

ESCAPED = os.environ["ESCAPED"]
TWIN = os.environ["TWIN"]
FAST_CLOCK = os.environ["FAST_CLOCK"]
BUILD = os.path.normpath(os.path.join(os.path.dirname(LAZARET), "../.."))
PROGRAMS = ["vmm/cli/lazaret", "vmm/channel/lazaret-unpack", "vmm/look/lazaret-look",
            "vmm/wrap/lazaret-qemu", "guest-agent/agent/lazaret-agent", "vmm/hv/liblazaret-preload.so"]


def _is_tampering(folder, name, word=""):
    d, _, r = tell(folder, name)
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
    d, _, r = tell(folder, "half_a_frame_and_power_off")
    equal((d["class"], r.returncode), ("guest", 125), d.get("error"))


def terminal_escapes_never_arrive_raw(folder):
    d, logs, r = tell(folder, "terminal_escapes")
    equal(r.returncode, 120)
    check(any("\\x1b" in note for note in d["notes"]), d["notes"])
    with open(f"{logs}/{d['id']}/console.log", "rb") as f:
        text = f.read()
    check(b"owned" in text, text)
    check(b"\x1b" not in text and b"\xff" not in text and b"\x07" not in text, text)


def _stops(folder, name):
    d, _, r = tell(folder, name)
    equal((d["class"], r.returncode), ("guest", 125), d.get("error"))
    check("the guest stopped before the job" in d["error"], d["error"])


def a_triple_fault_is_the_guests_end(folder):
    _stops(folder, "resets reboot=t")


def a_reboot_is_the_guests_end(folder):
    """By the chipset's reset register, as ACPI does it too: the machine is not started again."""
    _stops(folder, "resets reboot=p")


def a_panic_is_the_guests_end(folder):
    _stops(folder, "panics")


def _is_silent(folder, name):
    """Whatever the guest does with its processor, the job's time is the host's to count."""
    d, _, r = tell(folder, name, "--timeout", "1")
    equal((d["class"], r.returncode), ("timeout", 124), d.get("error"))


def a_guest_that_halts_meets_the_deadline(folder):
    _is_silent(folder, "halts")


def a_guest_that_sleeps_meets_the_deadline(folder):
    _is_silent(folder, "sleeps")


def _journal(folder):
    """Of the one run there is, or nothing yet."""
    try:
        with open(f"{folder}/runs/{os.listdir(f'{folder}/runs')[0]}/journal", encoding="ascii") as f:
            return f.read()
    except (FileNotFoundError, IndexError):
        return ""


def a_guest_that_never_boots_meets_the_deadline(folder):
    """Of two minutes; the manager's clock goes faster once it waits for nothing else (fast_clock.c)."""
    put_liar(folder, "none")
    trigger = f"{folder}/now"
    with Nothing():
        p = subprocess.Popen([LAZARET, *arguments()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE,
                             env=environment(LAZARET_DATA_DIR=folder, LD_PRELOAD=FAST_CLOCK,
                                             LAZARET_FAST_CLOCK=trigger))
        wait_for(lambda: _journal(folder).count('"step":"meet"'), "the wait for the guest")
        with open(trigger, "w", encoding="ascii"):
            pass
        said, _ = p.communicate(timeout=120)
    d = json.loads(said)
    equal((d["class"], p.returncode), ("guest", 125), d.get("error"))
    check("not ready in time" in d["error"], d["error"])


def what_only_the_guest_can_know_is_named_so(folder):
    d, _, r = tell(folder, "claims_of_all_ones")
    equal((d["class"], d["status"], r.returncode), ("exited", 7, 7), d.get("error"))
    equal((d["guest_cpu_us"], d["guest_peak_bytes"], d["guest_oom_kills"]), (2**64 - 1, 2**64 - 1, 2**32 - 1))
    check(d["boot_ms"] < 60000 and d["job_ms"] < 60000, d)  # these are the host's


def a_flood_of_the_console_is_cut_and_escaped(folder):
    d, logs, r = tell(folder, "flood_of_the_console")
    equal(r.returncode, 120, d)
    with open(f"{logs}/{d['id']}/console.log", "rb") as f:
        text = f.read()
    equal(len(text), 1 << 20)
    check(b"\x1b" not in text and b"\\x1b" in text, text[-100:])


def _memory(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(key + ":"))


def a_flood_of_output_costs_the_host_no_memory():
    """Keeper and relay at their peak beside what they had while the job was idle."""
    with Nothing():
        p = start(["sh", "-c", "echo go; read x; exec cat /dev/zero"], "-i", stdin=subprocess.PIPE)
        equal(p.stdout.read(3), b"go\n")
        relay, keeper = relay_of(p)
        before = {}
        for pid in (relay, keeper):
            before[pid] = _memory(pid, "VmRSS")
            with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as f:
                f.write("5")
        p.stdin.write(b"x\n")
        p.stdin.flush()
        left = 16 << 20
        while left > 0:
            left -= len(p.stdout.read(min(left, 1 << 20)))
        for pid, idle in before.items():
            grown = _memory(pid, "VmHWM") - idle
            check(grown <= 4096, f"{'the relay' if pid == relay else 'the keeper'} grew by {grown} KiB")
        p.terminate()
        p.stdout.read()
        p.communicate(timeout=60)


def a_relay_that_was_taken_over_stops_no_deadline(folder):
    """The twin says that all is well and then never stops talking."""
    built = f"{folder}/built"
    for program in PROGRAMS:
        os.makedirs(os.path.dirname(f"{built}/{program}"), exist_ok=True)
        shutil.copy(f"{BUILD}/{program}", f"{built}/{program}")
    shutil.copy(TWIN, f"{built}/vmm/channel/lazaret-relay")
    with Nothing():
        r = subprocess.run([f"{built}/vmm/cli/lazaret", "run", "--accel", "tcg", "--cold", "--json", "--timeout", "1",
                            "--", "true"], capture_output=True, timeout=60, env=environment(), check=False)
    d = json.loads(r.stdout)
    equal((d["class"], r.returncode), ("timeout", 124), d)


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
    equal((found["uid"], found["caps"], found["bound"], found["nnp"]), ("0", *2 * ["000000022b6401eb"], "1"))
    equal((found["lockdown"], found["yama"], found["cores"], found["oops"]),
          ("[confidentiality]", "1", "/dev/null", "1"))
    for way in ("image", "module", "kexec", "iopl", "mem", "kcore", "log", "trace"):
        check(found[way] in ("EPERM", "EACCES", "EROFS", "EIO", "ENOENT", "ENOSYS"), f"{way}: {found[way]}")


if __name__ == "__main__":
    main()
