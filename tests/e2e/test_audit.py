"""What is in an image and what of it is old: `image inspect --sbom` and `image audit`. No guest runs."""
import json
import os
import subprocess

import store
from e2e import *

DEBS = [("libc6", "2.36-9+deb12u4", "glibc", "2.36-9+deb12u4"),
        ("libssl3", "3.0.11-1~deb12u2", "openssl", "3.0.11-1~deb12u2"),
        ("python3.11-minimal", "3.11.2-6+b1", "python3.11", "3.11.2-6")]
OTHERS = [{"type": "npm", "name": "@scope/name", "version": "1.0.0"},
          {"type": "os", "name": "debian", "version": "12"},
          {"type": "python", "name": "pip", "version": "23.0.1"}]


def _packages(others=None):
    return [{"type": "deb", "name": name, "version": version, "architecture": "amd64",
             "source": source, "source_version": source_version}
            for name, version, source, source_version in DEBS] + (OTHERS if others is None else others)


def _image(folder, packages):
    """A data folder with the image 'made'."""
    os.chmod(folder, 0o700)
    store.make(f"{folder}/images", "made", packages=packages)
    return {"LAZARET_DATA_DIR": folder}


def _issue(status, urgency="not yet assigned", suite="bookworm", **more):
    return {"description": "a } \" ]", "scope": "local", "releases": {
        suite: {"status": status, "repositories": {suite: "1"}, "urgency": urgency, **more}}}


FIXED = _issue("resolved", fixed_version="2.36-9+deb12u7")
OPEN = _issue("open", "low")
UNIMPORTANT = _issue("open", "unimportant")


def _audit(folder, env, data, *options):
    path = f"{folder}/tracker.json"
    with open(path, "w", encoding="utf-8") as f:
        f.write(data if isinstance(data, str) else json.dumps(data))
    return lazaret("image", "audit", "made", "--tracker", path, *options, env=env)


def the_status_says_old_open_or_nothing(folder):
    env = _image(folder, _packages())
    for glibc, status in (({"CVE-1": FIXED, "CVE-2": OPEN}, 1), ({"CVE-1": FIXED}, 1),
                          ({"CVE-2": OPEN, "CVE-3": UNIMPORTANT}, 2),
                          ({"CVE-4": _issue("undetermined")}, 2), ({"CVE-3": UNIMPORTANT}, 0),
                          ({"CVE-5": _issue("resolved", fixed_version="2.36-9+deb12u4")}, 0),
                          ({"CVE-6": _issue("resolved", fixed_version="0")}, 0)):
        finished(_audit(folder, env, {"glibc": glibc, "bash": {"CVE-7": FIXED}}), status)


def one_line_an_issue_says_what_is_old_and_where_it_is_fixed(folder):
    env = _image(folder, _packages())
    data = {"glibc": {"CVE-2": OPEN, "CVE-1": FIXED, "CVE-3": UNIMPORTANT},
            "linux-6.12": {"CVE-9": _issue("resolved", fixed_version="6.12.118-1~deb12u1")}}
    lines = finished(_audit(folder, env, data), 1).decode().splitlines()
    equal([line.split() for line in lines[1:4]], [
        ["old", "glibc", "2.36-9+deb12u4", "CVE-1", "not", "yet", "assigned", "2.36-9+deb12u7"],
        ["open", "glibc", "2.36-9+deb12u4", "CVE-2", "low", "-"],
        ["old", "linux-6.12", "6.12.117-1~deb12u1", "CVE-9", "not", "yet", "assigned",
         "6.12.118-1~deb12u1"]])
    equal(lines[4:], ["image 'made', 4 source packages, bookworm: 2 old, 1 open, 0 undetermined, "
                      "1 unimportant", "not looked up: Python packages (1), npm packages (1), "
                      "the container runtime"])
    every = finished(_audit(folder, env, data, "--all"), 1).decode()
    check("CVE-3" in every and "CVE-3" not in "".join(lines), "--all is not what adds CVE-3")


def json_has_everything(folder):
    env = _image(folder, _packages())
    got = json.loads(finished(_audit(folder, env, {"glibc": {"CVE-1": FIXED, "CVE-3": UNIMPORTANT}},
                                     "--json"), 1))
    findings = got.pop("findings")
    equal(len(got.pop("digest")), 64)
    equal(got, {"format": "lazaret-audit", "version": 1, "image": "made", "suite": "bookworm",
                "sources": 4, "old": 1, "open": 0, "undetermined": 0, "unimportant": 1,
                "not_covered": {"npm": 1, "python": 1, "kernel": False, "runtime": True}})
    equal(findings, [
        {"source": "glibc", "installed": "2.36-9+deb12u4", "issue": "CVE-1", "state": "old",
         "fixed": "2.36-9+deb12u7", "urgency": "not yet assigned"},
        {"source": "glibc", "installed": "2.36-9+deb12u4", "issue": "CVE-3", "state": "open",
         "urgency": "unimportant"}])


def a_suite_that_cannot_be_known_must_be_said(folder):
    env = _image(folder, _packages([{"type": "os", "name": "ubuntu", "version": "22.04"}]))
    data = {"glibc": {"CVE-1": FIXED}}
    one_line_error(_audit(folder, env, data), 125, "image 'made'", "ubuntu 22.04", "--suite")
    finished(_audit(folder, env, data, "--suite", "bookworm"), 1)
    one_line_error(_audit(folder, env, data, "--suite", "bookwurm"), 125, "bookwurm",
                   "says nothing")


def an_image_without_debian_packages_is_not_called_good(folder):
    env = _image(folder, [{"type": "os", "name": "alpine", "version": "3.20"}])
    one_line_error(_audit(folder, env, {}, "--suite", "trixie"), 125, "no Debian packages")


def data_that_is_no_trackers_says_what_and_where(folder):
    env = _image(folder, _packages())
    whole = json.dumps({"glibc": {"CVE-1": FIXED}})
    for data, words in ((whole[:-10], ("ends in the middle", "fetched whole")), ("", ("empty",)),
                        ("<html>", ("byte 0", "not a JSON object")), ("{" * 50, ("byte 1",)),
                        (whole.replace('"resolved"', "1"), ("'glibc'", "CVE-1", "status")),
                        (whole[:-1] + "," + whole[1:], ("'glibc' is there twice",))):
        one_line_error(_audit(folder, env, data), 125, "tracker.json", *words)
    one_line_error(lazaret("image", "audit", "made", "--tracker", f"{folder}/none", env=env), 125,
                   "none", "No such file")
    one_line_error(lazaret("image", "audit", "made", env=env), 125, "--tracker")


def a_list_that_is_no_list_is_refused(folder):
    packages = _packages()
    env = _image(folder, packages[::-1])
    one_line_error(_audit(folder, env, {}), 125, "image 'made'", "packages")


def data_may_come_through_a_pipe(folder):
    env = _image(folder, _packages())
    result = subprocess.run([LAZARET, "image", "audit", "made", "--tracker", "/dev/stdin"],
                            input=json.dumps({"glibc": {"CVE-1": FIXED}}).encode(),
                            capture_output=True, env=environment(**env), timeout=60, check=False)
    check(b"CVE-1" in finished(result, 1), "CVE-1 is not found")


def a_full_disk_is_not_a_result(folder):
    env = _image(folder, _packages())
    with open(f"{folder}/t", "w", encoding="utf-8") as f:
        json.dump({"glibc": {"CVE-1": FIXED}}, f)
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([LAZARET, "image", "audit", "made", "--tracker", f"{folder}/t"],
                                stdout=full, stderr=subprocess.PIPE, env=environment(**env),
                                timeout=60, check=False)
    equal(result.returncode, 125)


def an_sbom_lists_every_package_and_is_the_same_each_time(folder):
    env = _image(folder, _packages())
    text = finished(lazaret("image", "inspect", "--sbom", "made", env=env))
    equal(finished(lazaret("image", "inspect", "--sbom", "made", env=env)), text)
    sbom = json.loads(text)
    equal((sbom["bomFormat"], sbom["specVersion"]), ("CycloneDX", "1.5"))
    digest = os.path.basename(store.manifest_path(f"{folder}/images", "made"))
    equal(sbom["metadata"]["component"]["hashes"], [{"alg": "SHA-256", "content": digest}])
    equal([(c["name"], c["version"]) for c in sbom["components"]],
          [(p["name"], p["version"]) for p in _packages()] + [("linux", "6.12.117-1~deb12u1")])
    equal([c["purl"] for c in sbom["components"] if "purl" in c][::3],
          ["pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12",
           "pkg:npm/%40scope/name@1.0.0"])
    one_line_error(lazaret("image", "inspect", "--sbom", "--json", "made", env=env), 125, "exclude")


def _names(cpio):
    """Of all entries of an archive of format newc."""
    names, at = [], 0
    while not names or names[-1] != "TRAILER!!!":
        size, length = (int(cpio[at + i:at + i + 8], 16) for i in (54, 94))
        names.append(cpio[at + 110:at + 110 + length - 1].decode())
        at = (at + 110 + length + 3) // 4 * 4
        at = (at + size + 3) // 4 * 4
    return names


def the_container_runtime_of_an_image_is_static_and_looked_up(folder):
    """Of the image that all tests use: what is built where gcc, make and dpkg-dev are."""
    images = f"{DATA}/images"
    with open(store.part(images, "initramfs"), "rb") as f:
        names = _names(f.read())
    check("usr/bin/crun" in names and not [n for n in names if ".so" in n], names)
    sbom = json.loads(finished(lazaret("image", "inspect", "--sbom", "default")))
    version = next(c["version"] for c in sbom["components"] if c["name"] == "crun")
    check({"libc6-dev", "libcap-dev", "libseccomp-dev", "libyajl-dev"}
          <= {c["name"] for c in sbom["components"]}, "a library of crun is not listed")
    data = {"crun": {"CVE-1": _issue("resolved", fixed_version="999")}}
    with open(f"{folder}/t", "w", encoding="utf-8") as f:
        json.dump(data, f)
    r = lazaret("image", "audit", "default", "--tracker", f"{folder}/t", "--json")
    d = json.loads(finished(r, 1))
    equal([(f["source"], f["installed"]) for f in d["findings"]], [("crun", version.partition("+b")[0])])
    equal(d["not_covered"]["runtime"], False)


if __name__ == "__main__":
    main()
