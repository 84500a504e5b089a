"""Secrets: what one job is given, and what is left of it nowhere."""
import mmap
import os
import secrets
import stat

from live import *


def _give(folder, name, value):
    path = f"{folder}/{name}"
    with open(path, "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
        f.write(value)
    return path


def _has(path, words):
    """Which of the words are in this file; devices, pipes and sockets have none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return set()
    try:
        st = os.fstat(fd)
        if not stat.S_ISREG(st.st_mode):
            return set()
        if st.st_size == 0:  # /proc
            data = b"".join(iter(lambda: os.read(fd, 1 << 20), b""))
            return {w for w in words if w in data}
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as data:
            return {w for w in words if data.find(w) >= 0}
    except OSError:
        return set()
    finally:
        os.close(fd)


def _search(words):
    """{word: where it is} in all that we keep, and in arguments, environment and files of every
    process of ours."""
    places = [os.path.join(top, name) for top, _, names in os.walk(DATA) for name in names]
    for pid in processes():
        places += [f"/proc/{pid}/cmdline", f"/proc/{pid}/environ"]
        try:
            places += [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            pass  # it has ended
    found = {w: [] for w in words}
    for place in places:
        for w in _has(place, words):
            found[w].append(place)
    return found


def _no_core_files(pids):
    for pid in pids:
        with open(f"/proc/{pid}/limits", encoding="ascii") as f:
            line = next(line for line in f if line.startswith("Max core file size"))
        check(line.split()[4] in ("0", "1"), f"core files of {pid}: {line}")  # 1 byte: none, core(5)


def a_secret_is_a_file_of_the_jobs_user_or_a_variable_and_nothing_else(folder):
    key = _give(folder, "key", b"\0the key\n\xff")
    token = _give(folder, "token", b"the token")
    script = ("stat -c '%a %u %g' /run/secrets /run/secrets/*; cat /run/secrets/KEY; echo $TOKEN; ls /run/secrets;"
              "grep ' /run/secrets ' /proc/mounts; touch /run/secrets/x 2>&1; chmod u+w /run/secrets/KEY 2>&1; true")
    with open(token, "rb") as f:
        r = sh(script, "--user", "2000:3000", "--secret", f"KEY={key}", "--secret", f"TOKEN=fd:{f.fileno()}",
               "--secret-env", "TOKEN", pass_fds=[f.fileno()])
    lines = finished(r).split(b"\n")
    equal(lines[:6], [b"500 2000 3000", b"400 2000 3000", b"\0the key", b"\xffthe token", b"KEY",
                      lines[5]])
    for word in (b"tmpfs", b"ro,nosuid,nodev,noexec", b"size="):
        check(word in lines[5], lines[5])
    equal([line.rpartition(b": ")[2] for line in lines[6:8]], [b"Read-only file system"] * 2)
    # Without one there is no folder, and the image's own /run.
    equal(finished(sh("ls -d /run/secrets 2>&1 || true")).count(b"No such file"), 1)


def what_could_be_read_by_others_or_is_none_is_refused_at_once(folder):
    key = _give(folder, "key", b"the key")
    os.chmod(key, 0o640)
    one_line_error(sh("true", "--secret", f"KEY={key}"), 126, "KEY", "0640", "chmod")
    os.chmod(key, 0o600)
    for words, said in (((f"--secret=KEY={folder}/none",), "No such file"),
                        ((f"--secret=KEY={folder}",), "neither a regular file nor a pipe"),
                        (("--secret=the value itself",), "NAME=FILE"),
                        ((f"--secret=KEY={key}", f"--secret=KEY={key}"), "twice"),
                        (("--secret-env=KEY",), "no --secret"),
                        (("--secret=KEY=-", "-i"), "stdin"),
                        (("--secret=KEY=fd:77",), "fd 77")):
        r = sh("true", *words)
        one_line_error(r, 125, said)
        check(b"the value itself" not in r.stderr, r.stderr)
    one_line_error(lazaret("up", "nobody", "--secret", f"KEY={key}"), 125, "exec")


def an_empty_pipe_starts_no_job(folder):
    one_line_error(sh("echo ran", "--secret", "KEY=-", input=b""), 125, "KEY", "empty")


def check_shows_names_only(folder):
    key = _give(folder, "key", b"the key")
    plan = json.loads(finished(lazaret("check", "--json", "--accel", "tcg", "--secret", f"KEY={key}",
                                       "--", "true")))
    equal((plan["plan"]["secrets"], plan["plan"]["secret_env"]), (["KEY"], []))
    check(key not in json.dumps(plan) and "the key" not in json.dumps(plan), plan)


def a_manifest_says_which_secrets_a_job_gets_and_how(folder):
    key, token = _give(folder, "key", b"the key"), _give(folder, "token", b"the token")
    manifest = f"{folder}/agent.json"
    with open(manifest, "w", encoding="utf-8") as f:
        json.dump({"format": "lazaret-manifest", "version": 1, "secrets": ["KEY"], "secret_env": ["TOKEN"],
                   "command": ["sh", "-c", "cat /run/secrets/*; echo; echo $TOKEN; ls /run/secrets"]}, f, indent=1)
    given = ["--secret", f"TOKEN={token}", "--secret", f"KEY={key}"]
    run_it = ["run", "--accel", "tcg", "--manifest", manifest]
    equal(finished(lazaret(*run_it, *given)), b"the key\nthe token\nKEY\n")
    one_line_error(lazaret(*run_it, *given[:2]), 125, f"{manifest}:4: secrets: 'KEY' is not given")
    one_line_error(lazaret(*run_it, *given, "--secret", f"MORE={key}"), 126, "MORE", "agent.json")
    policy = f"{folder}/policy.json"
    with open(policy, "w", encoding="utf-8") as f:
        json.dump({"format": "lazaret-policy", "version": 1, "secrets": ["KEY"]}, f)
    one_line_error(lazaret(*run_it, *given, "--policy", policy), 126, "'TOKEN' is not allowed", "policy.json:1")


def nothing_of_a_run_has_a_secret_in_it(folder):
    key, token, plain = secrets.token_bytes(32), secrets.token_hex(16).encode(), secrets.token_hex(16).encode()
    files = [_give(folder, "key", key), _give(folder, "token", token)]
    with Nothing_but_logs():
        p = start(["sh", "-c", "cat /run/secrets/KEY >&2; echo started; cat"], "-i", "--keep-logs",
                  "--secret", f"KEY={files[0]}", "--secret", f"TOKEN={files[1]}", "--secret-env", "TOKEN",
                  "--env", f"PLAIN={plain.decode()}", stdin=subprocess.PIPE)
        equal(p.stdout.readline(), b"started\n")
        alive = _search([key, token, plain])
        ours = processes()
        _no_core_files([pid for pid, line in ours.items() if "qemu" in line or "relay" in line])
        out, err = p.communicate(timeout=60)
        equal((p.returncode, out), (0, b""))
        check(key in err, err)
    after = _search([key, token, plain])
    for found in (alive, after):
        equal((found[key], found[token]), ([], []))
        check(any("/runs/" in place for place in found[plain]), found)
    check(any("cmdline" in place for place in alive[plain]), alive)


class Nothing_but_logs(Nothing):
    """... and the folder of --keep-logs."""

    def __exit__(self, kind, value, trace):
        self.before = (*self.before[:1], runs(), *self.before[2:])
        return super().__exit__(kind, value, trace)


def a_sandbox_that_was_given_one_is_not_kept_until_it_goes_back(folder):
    key, plain = secrets.token_bytes(32), secrets.token_hex(16).encode()
    path = _give(folder, "key", key)
    policy = f"{folder}/policy.json"
    with open(policy, "w", encoding="utf-8") as f:
        json.dump({"format": "lazaret-policy", "version": 1, "secrets": ["KEY", "OTHER"]}, f)
    r = lazaret("run", "--accel", "tcg", "--keep", "s", "--after", "keep", "--policy", policy, "--secret", f"KEY={path}",
                "--env", f"PLAIN={plain.decode()}", "--", "sh", "-c", "cat /run/secrets/KEY", timeout=240,
                stdin=subprocess.DEVNULL)
    try:
        equal(finished(r), key)
        # The mark before the job was made: memory, disk and all.
        found = _search([key, plain])
        equal(found[key], [])
        check(found[plain], "the search finds nothing")
        for words in (("snapshot", "s"), ("fork", "s", "t"), ("diff", "s"), ("exec", "s", "--mark", "--", "true")):
            one_line_error(lazaret(*words, timeout=240), 126, "secret", "lazaret revert")
        equal(finished(execute("s", "--", "sh", "-c", "ls /run/secrets 2>/dev/null || echo none")), b"none\n")
        # What the policy of `run` does not name, no command of the sandbox is given.
        one_line_error(execute("s", "--secret", f"MORE={path}", "--", "true"), 126, "'MORE' is not allowed", "policy.json:1")
        # Another command meanwhile, of another user, finds nothing of it; its own is its own.
        p = started("s", "echo started; exec sleep 300", "--secret", f"KEY={path}")
        equal(finished(execute("s", "--user", "2000", "--secret", f"OTHER={path}", "--", "sh", "-c",
                               "ls /run/secrets; stat -c %u /run/secrets/OTHER; cat /proc/*/root/run/secrets/KEY "
                               "2>/dev/null || echo none")), b"OTHER\n2000\nnone\n")
        equal(_search([key])[key], [], "while it runs:")
        p.kill()
        p.communicate()
        finished(lazaret("revert", "s"))
        finished(lazaret("snapshot", "s", "clean"))
        equal(_search([key])[key], [])
    finally:
        lazaret("down", "s")


if __name__ == "__main__":
    main()
