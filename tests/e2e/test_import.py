"""`lazaret image import`: images made by umoci and skopeo, compared with what umoci unpacks, and run.

They are made here from busybox-static and a script; the registry is a few lines of Python.
"""
import http.server
import json
import os
import shutil
import stat
import subprocess
import threading

import store
from e2e import *

BUSYBOX = "/bin/busybox"
SHIFT = 100000  # the container's root in the guest
MOUNTS = ("dev", "proc", "sys", "in", "out", "work", "tmp")  # made in every image

MAIN = """#!/bin/sh
echo "id $(id -u):$(id -g) in $(pwd)"
echo "NAME=$NAME MORE=$MORE"
for word; do echo "word $word"; done
cat /app/data
touch /app/data 2>/dev/null || echo "cannot write"
"""


def _tool(*argv):
    if not shutil.which(argv[0]):
        raise Skip(f"{argv[0]} is not here (apt-get install {argv[0]})")
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    check(done.returncode == 0, f"{argv}: {done.stderr.decode()}")


def _write(path, text, mode=0o644, owner=(0, 0)):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    os.chown(path, *owner)


def _first_layer(root):
    os.makedirs(f"{root}/bin")
    shutil.copy(BUSYBOX, f"{root}/bin/busybox")
    for name in ("sh", "cat", "echo", "id", "pwd", "touch"):
        os.symlink("busybox", f"{root}/bin/{name}")
    _write(f"{root}/etc/passwd", "root:x:0:0::/:/bin/sh\nweb:x:1234:1235::/srv:/bin/sh\n")
    _write(f"{root}/etc/group", "root:x:0:\nstaff:x:50:\n")
    _write(f"{root}/app/main", MAIN, 0o755)
    _write(f"{root}/app/data", "old\n")
    _write(f"{root}/gone/file", "x")
    _write(f"{root}/opaque/old", "x")
    _write(f"{root}/becomes-file/a", "x")
    _write(f"{root}/becomes-folder", "x")
    _write(f"{root}/srv/ünï/cöde\u0301", "names are bytes", 0o600, (1234, 65535))
    _write(f"{root}/srv/{'long-' * 45}/{'name-' * 45}", "x")
    _write(f"{root}/srv/set-id", "x", 0o4755)
    os.chmod(f"{root}/srv/set-id", 0o4755)  # a change of owner takes it away
    os.link(f"{root}/app/data", f"{root}/srv/same")
    os.symlink("../etc/passwd", f"{root}/srv/relative")
    os.symlink("/etc/passwd", f"{root}/srv/absolute")
    os.mkdir(f"{root}/srv/sticky")
    os.chmod(f"{root}/srv/sticky", 0o1777)
    _write(f"{root}/srv/big", "0123456789abcdef" * 200000)


def _second_layer(root):
    _write(f"{root}/new", "new\n")
    os.replace(f"{root}/new", f"{root}/app/data")  # the other name keeps the old content
    shutil.rmtree(f"{root}/gone")
    shutil.rmtree(f"{root}/opaque")
    _write(f"{root}/opaque/new", "y")
    shutil.rmtree(f"{root}/becomes-file")
    _write(f"{root}/becomes-file", "y")
    os.remove(f"{root}/becomes-folder")
    _write(f"{root}/becomes-folder/b", "y")
    os.chmod(f"{root}/etc/group", 0o640)
    os.chown(f"{root}/srv/big", 7, 8)


def _layout(folder):
    """An OCI layout of two layers at FOLDER/layout, tag 'app'."""
    if os.geteuid() != 0:
        raise Skip("umoci keeps owners only as root")
    layout, bundle = f"{folder}/layout", f"{folder}/bundle"
    _tool("umoci", "init", "--layout", layout)
    _tool("umoci", "new", "--image", f"{layout}:app")
    _tool("umoci", "unpack", "--image", f"{layout}:app", bundle)
    for fill in (_first_layer, _second_layer):
        fill(f"{bundle}/rootfs")
        _tool("umoci", "repack", "--refresh-bundle", "--image", f"{layout}:app", bundle)
    _tool("umoci", "config", "--image", f"{layout}:app", "--config.user", "web:staff",
          "--config.env", "NAME=a b", "--config.entrypoint", "/app/main",
          "--config.entrypoint", "from entrypoint", "--config.cmd", "from cmd",
          "--config.workingdir", "/srv/made/here")
    return layout


def _data(folder):
    """A data folder with the default image, for imports."""
    data = f"{folder}/data"
    os.mkdir(data, 0o700)
    store.copy(f"{DATA}/images", f"{data}/images")
    return data


def _import(data, source, *options, **env):
    env["LAZARET_DATA_DIR"] = data
    return lazaret("image", "import", source, "-t", "app", *options, env=env)


def _facts(root, shift):
    """Path: (type and mode, uid, gid, size or target, other names of it) of all below a folder."""
    found, names = {}, {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in folders + files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            short = os.path.relpath(path, os.fsencode(root))
            names.setdefault(st.st_ino, []).append(short)
            what = None
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    what = f.read()
            elif stat.S_ISLNK(st.st_mode):
                what = os.readlink(path)
            found[short] = (st.st_mode & ~0o6000, st.st_uid - shift, st.st_gid - shift, what, st.st_ino)
    return {path: (*facts[:4], sorted(names[facts[4]])) for path, facts in found.items()}


def _same_tree(folder, data, layout):
    for made in ("theirs", "ours"):
        shutil.rmtree(f"{folder}/{made}", ignore_errors=True)
    _tool("umoci", "unpack", "--image", f"{layout}:app", f"{folder}/theirs")
    _tool("unsquashfs", "-no-progress", "-d", f"{folder}/ours",
          store.part(f"{data}/images", "root", "app"))
    theirs, ours = _facts(f"{folder}/theirs/rootfs", 0), _facts(f"{folder}/ours", SHIFT)
    for extra in (*MOUNTS, "srv/made", "srv/made/here"):
        ours.pop(extra.encode(), None)
    equal(sorted(ours), sorted(theirs), "names")
    for path, facts in theirs.items():
        equal(ours[path], facts, f"{path}:")


def an_image_of_umoci_becomes_the_tree_that_umoci_unpacks(folder):
    layout, data = _layout(folder), _data(folder)
    said = _import(data, f"oci:{layout}:app")
    finished(said)
    check(b"left out: 1 set-id bits" in said.stderr, said.stderr)
    _same_tree(folder, data, layout)


def archives_of_skopeo_become_the_same_tree(folder):
    layout, data = _layout(folder), _data(folder)
    for source, packed in (("docker-archive", None), ("docker-archive", "gzip"), ("oci-archive", "zstd")):
        path = f"{folder}/{source}"
        _tool("skopeo", "--insecure-policy", "copy", f"oci:{layout}:app", f"{source}:{path}:app:v1")
        if packed:
            _tool(packed, "-f", path)
            path += {"gzip": ".gz", "zstd": ".zst"}[packed]
        finished(_import(data, f"{source}:{path}"))
        _same_tree(folder, data, layout)
        finished(_import(data, f"{source}:{path}:app:v1", "--json"))
        os.remove(path)


def an_imported_image_runs_what_it_says_as_whom_and_where_it_says(folder):
    layout, data = _layout(folder), _data(folder)
    finished(_import(data, f"oci:{layout}"))

    def run_it(*args):
        return finished(lazaret("run", "--accel", "tcg", "--image", "app", *args, timeout=240,
                                env={"LAZARET_DATA_DIR": data})).decode().splitlines()

    equal(run_it(), ["id 1234:50 in /srv/made/here", "NAME=a b MORE=", "word from entrypoint",
                     "word from cmd", "new", "cannot write"])
    equal(run_it("--env", "MORE=x", "--workdir", "/app", "--user", "7:8", "--", "else"),
          ["id 7:8 in /app", "NAME=a b MORE=x", "word from entrypoint", "word else", "new",
           "cannot write"])


class _Registry(http.server.BaseHTTPRequestHandler):
    layout = None  # of the class that is derived from this

    def do_GET(self):  # pylint: disable=invalid-name
        kind, _, name = self.path.removeprefix("/v2/").removeprefix("app/").partition("/")
        with open(f"{self.layout}/index.json", encoding="utf-8") as f:
            manifest = json.load(f)["manifests"][0]
        digest = manifest["digest"] if kind == "manifests" else name
        self.send_response(200)
        self.send_header("Docker-Distribution-API-Version", "registry/2.0")
        body = b"{}"
        if kind in ("manifests", "blobs"):
            with open(f"{self.layout}/blobs/sha256/{digest.removeprefix('sha256:')}", "rb") as f:
                body = f.read()
            self.send_header("Docker-Content-Digest", digest)
            self.send_header("Content-Type", manifest["mediaType"] if kind == "manifests"
                             else "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


def _error_behind_progress(result, *words):
    finished(result, 125)
    last = result.stderr.decode().splitlines()[-1]
    for word in words:
        check(word in last, f"'{word}' is not in {last!r}")


def a_registry_is_asked_by_skopeo_and_nothing_of_it_stays(folder):
    layout, data = _layout(folder), _data(folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("R", (_Registry,), {"layout": layout}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    where = f"127.0.0.1:{server.server_address[1]}"
    os.makedirs(f"{folder}/.config/containers")
    with open(f"{folder}/.config/containers/registries.conf", "w", encoding="utf-8") as f:
        f.write(f'[[registry]]\nlocation = "{where}"\ninsecure = true\n')
    try:
        finished(_import(data, f"docker://{where}/app:v1", HOME=folder))
    finally:
        server.shutdown()
        server.server_close()
    _same_tree(folder, data, layout)
    equal(store.manifest(f"{data}/images", "app")["created_from"]["reference"], f"{where}/app:v1")
    equal(os.listdir(f"{data}/images/tmp"), [], "left:")
    _error_behind_progress(_import(data, f"docker://{where}/app:v1", HOME=folder), "'skopeo'")
    equal(os.listdir(f"{data}/images/tmp"), [], "left:")
    os.mkdir(f"{folder}/bin")
    for tool in ("unshare", "sqfstar", "veritysetup"):
        if shutil.which(tool):
            os.symlink(shutil.which(tool), f"{folder}/bin/{tool}")
    _error_behind_progress(_import(data, f"docker://{where}/app:v1", PATH=f"{folder}/bin"),
                                   "install Debian's package 'skopeo'")


if __name__ == "__main__":
    main()
