"""`lazaret image` and the store: what it prints, what it refuses, and what a run makes of it."""
import json
import os
import subprocess

import store
from e2e import *


def _env(folder):
    os.chmod(folder, 0o700)
    return {"LAZARET_DATA_DIR": folder}


def _store(folder):
    """A data folder of its own with the image 'default'."""
    env = _env(folder)
    store.copy(f"{DATA}/images", f"{folder}/images")
    return env


def _image(env, *args, status=0):
    return finished(lazaret("image", *args, env=env), status).decode()


def _json(env, *args, status=0):
    return json.loads(_image(env, *args, "--json", status=status))


def _refuse_unsigned(folder, *keys):
    with open(f"{folder}/images/policy.json", "w") as f:
        json.dump({"format": "lazaret-image-policy", "version": 1, "require_signature": True,
                   "trusted": keys}, f)


def an_empty_store_is_listed_and_pruned(folder):
    env = _env(folder)
    equal(_json(env, "ls"), [])
    equal(_json(env, "prune"), {"blobs": 0, "signatures": 0, "leftovers": 0, "bytes": 0})
    one_line_error(lazaret("image", "inspect", "x", env=env), 125, "no image 'x'", "image build")


def ls_and_inspect_say_the_same(folder):
    env = _store(folder)
    manifest = store.manifest(f"{folder}/images")
    digest = os.path.basename(store.manifest_path(f"{folder}/images"))
    row = _json(env, "ls")[0]
    equal(sorted(row), ["created_from", "digest", "kernel", "name", "release", "size", "tagged"])
    equal((row["name"], row["digest"]), ("default", digest))
    equal(row["size"], sum(manifest[p]["size"] for p in store.PARTS))
    seen = _json(env, "inspect", "default")
    equal((seen["digest"], seen["manifest"], seen["signatures"]), (digest, manifest, []))
    for ref in (digest, digest[:12], f"sha256:{digest}", f"sha256:{digest[:20]}"):
        equal(_json(env, "inspect", ref), seen, ref)
    text = _image(env, "inspect", "default")
    for word in (digest, manifest["root"]["sha256"], manifest["root"]["verity"]["root_hash"],
                 manifest["kernel"]["release"], "nobody"):
        check(word in text, word)
    check(digest[:12] in _image(env, "ls"), "no digest in ls")


def a_name_given_taken_and_pruned(folder):
    env = _store(folder)
    equal(_json(env, "tag", "default", "other")["name"], "other")
    for bad in ("../x", ".x", "0123456789ab", "x" * 65):
        one_line_error(lazaret("image", "tag", "default", bad, env=env), 125, "name")
    equal([row["name"] for row in _json(env, "ls")], ["default", "other"])
    equal(_json(env, "rm", "other")["blobs"], 0)
    freed = _json(env, "rm", "default")
    equal((freed["names"], freed["blobs"]), (["default"], 4))
    equal(os.listdir(f"{folder}/images/blobs/sha256"), [])
    one_line_error(lazaret("image", "rm", "default", env=env), 125, "no image 'default'")


def verify_looks_at_every_image_and_names_the_blob(folder):
    env = _store(folder)
    images = f"{folder}/images"
    _image(env, "tag", "default", "zeta")
    store.put_manifest(images, {**store.manifest(images), "cmdline": "another"})
    path = store.part(images, "initramfs", "zeta")
    equal([row["good"] for row in _json(env, "verify")], [True, True])
    with open(path, "r+b") as f:
        f.seek(5000)
        byte = f.read(1)[0]
        f.seek(5000)
        f.write(bytes([byte ^ 1]))
    one_line_error(lazaret("image", "verify", "zeta", env=env), 125, "initramfs",
                   os.path.basename(path), "lazaret image build")
    rows = _json(env, "verify", status=125)
    equal([row["good"] for row in rows], [False, False])  # they share it
    equal({row["class"] for row in rows}, {"image"})
    equal(_image(env, "verify", "zeta", status=125), "")
    with open(path, "r+b") as f:
        f.seek(5000)
        f.write(bytes([byte]))
    check("zeta is good: sha256:" in _image(env, "verify", "zeta"), "not good again")


def a_signature_is_checked_with_the_keys_that_are_given(folder):
    env = _store(folder)
    mine, other = f"{folder}/mine", f"{folder}/other"
    key = _json(env, "keygen", mine)["key"]
    _image(env, "keygen", other)
    one_line_error(lazaret("image", "keygen", mine, env=env), 125, "is there already")
    equal(os.stat(mine).st_mode & 0o777, 0o600)
    one_line_error(lazaret("image", "verify", "--trusted", f"{mine}.pub", "default", env=env), 126,
                   "not signed by a trusted key", "lazaret image sign")
    equal(_json(env, "sign", "--key", mine, "default")["key"], key)
    row = _json(env, "verify", "--trusted", f"{other}.pub", "--trusted", f"{mine}.pub", "default")[0]
    equal((row["good"], row["signed_by"]), (True, key))
    one_line_error(lazaret("image", "verify", "--trusted", f"{other}.pub", "default", env=env), 126,
                   "not signed by a trusted key")
    equal(_json(env, "inspect", "default")["signatures"], [key])
    one_line_error(lazaret("image", "verify", "--trusted", mine, env=env), 125, "not a public key")
    one_line_error(lazaret("image", "sign", "default", env=env), 125, "--key is missing")
    os.chmod(mine, 0o640)
    one_line_error(lazaret("image", "sign", "--key", mine, "default", env=env), 125, "too open")


def openssl_makes_the_same_keys(folder):
    env = _store(folder)
    key, pub = f"{folder}/key", f"{folder}/key.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True,
                   umask=0o077)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", pub], check=True)
    _image(env, "sign", "--key", key, "default")
    check("signed by" in _image(env, "verify", "--trusted", pub), "not verified")
    # And it finds our signature good.
    digest = _json(env, "inspect", "default")["digest"]
    folder_of = f"{folder}/images/signatures/{digest}"
    with open(f"{folder_of}/{os.listdir(folder_of)[0]}") as f:
        signature = bytes.fromhex(json.load(f)["signature"])
    for name, data in (("sig", signature),
                       ("msg", f"lazaret-image-signature-v1\nsha256:{digest}\n".encode())):
        with open(f"{folder}/{name}", "wb") as f:
            f.write(data)
    subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", pub, "-rawin", "-in",
                    f"{folder}/msg", "-sigfile", f"{folder}/sig"], check=True,
                   stdout=subprocess.DEVNULL)


def an_unsigned_image_does_not_run_where_the_policy_asks_for_a_signature(folder):
    env = _store(folder)
    key = f"{folder}/images/release"
    _image(env, "keygen", key)
    _refuse_unsigned(folder, "release.pub")
    r = lazaret("run", "--accel", "tcg", "--", "true", env=env)
    one_line_error(r, 126, "image 'default'", "policy.json", "lazaret image sign")
    equal(_json(env, "verify", status=126)[0]["class"], "refused")
    _image(env, "sign", "--key", key, "default")
    finished(lazaret("run", "--accel", "tcg", "--", "true", env=env))
    _refuse_unsigned(folder, "nowhere.pub")
    one_line_error(lazaret("run", "--accel", "tcg", "--", "true", env=env), 125, "nowhere.pub")


def an_exported_image_runs_from_another_store(folder):
    env = _store(folder)
    key = f"{folder}/key"
    _image(env, "keygen", key)
    _image(env, "sign", "--key", key, "default")
    made = _json(env, "export", "default", f"{folder}/x.lz")
    equal(made["bytes"], os.path.getsize(f"{folder}/x.lz"))
    equal(os.listdir(folder).count("x.lz"), 1)
    piped = _run_bytes(env, "export", "default", "-")
    with open(f"{folder}/x.lz", "rb") as f:
        equal(f.read() == piped, True, "the same file")
    os.mkdir(f"{folder}/there")
    there = _env(f"{folder}/there")
    got = _json(there, "import", "-t", "moved", f"archive:{folder}/x.lz")
    equal((got["name"], got["digest"]), ("moved", made["digest"]))
    r = lazaret("image", "import", "-", env=there, input=piped)
    equal(finished(r).decode().strip(), f"sha256:{made['digest']}")
    check("signed by" in _image(there, "verify", "--trusted", f"{key}.pub"), "not signed")
    finished(lazaret("run", "--accel", "tcg", "--image", "moved", "--", "true", env=there))


def _run_bytes(env, *args):
    return finished(lazaret("image", *args, env=env))


def an_archive_that_is_cut_or_changed_leaves_nothing(folder):
    env = _store(folder)
    path = f"{folder}/x.lz"
    _image(env, "export", "default", path)
    os.mkdir(f"{folder}/there")
    there = _env(f"{folder}/there")
    size = os.path.getsize(path)

    def refused(*words):
        r = lazaret("image", "import", "-t", "x", path, env=there)
        finished(r, 125)
        last = r.stderr.decode().splitlines()[-1]
        for word in (path, *words):
            check(word in last, f"'{word}' is not in {last!r}")
        equal(os.listdir(f"{folder}/there/images/blobs/sha256"), [])
        equal(os.listdir(f"{folder}/there/images/tmp"), [])
        equal(_json(there, "ls"), [])

    with open(path, "r+b") as f:
        f.seek(size // 2)
        byte = f.read(1)[0]
        f.seek(size // 2)
        f.write(bytes([byte ^ 1]))
    refused("root", os.path.basename(store.part(f"{folder}/images", "root")), "SHA-256")
    os.truncate(path, size // 2)
    refused("root", f"ends at byte {size // 2}")
    with open(path, "wb") as f:
        f.write(b"no archive" * 1000)
    refused("byte 0", "lazaret-archive")
    for source, word in (("nope:x", "no source"), ("/nowhere", "cannot open '/nowhere'")):
        one_line_error(lazaret("image", "import", "-t", "x", source, env=there), 125, word)
    one_line_error(lazaret("image", "import", "-t", "../x", path, env=there), 125, "not a name")
    for target, word in ((folder, "not a regular file"), ("/nowhere/x", "cannot write")):
        one_line_error(lazaret("image", "export", "default", target, env=env), 125, word)


def a_key_of_root_is_trusted_by_an_ordinary_user(folder):
    key = f"{os.path.dirname(os.path.abspath(__file__))}/release"
    if not os.path.exists(key):
        raise Skip("as_user.py makes root's key")
    env = _store(folder)
    _refuse_unsigned(folder, f"{key}.pub")
    equal(os.stat(f"{key}.pub").st_uid, 0)
    one_line_error(lazaret("run", "--accel", "tcg", "--", "true", env=env), 126, "not signed")
    _image(env, "sign", "--key", key, "default")
    finished(lazaret("run", "--accel", "tcg", "--", "true", env=env))


def a_run_takes_a_digest_for_an_image(folder):
    env = _store(folder)
    digest = os.path.basename(store.manifest_path(f"{folder}/images"))
    os.remove(f"{folder}/images/tags/default")
    for ref in (f"sha256:{digest}", digest[:12]):
        finished(lazaret("run", "--accel", "tcg", "--image", ref, "--", "true", env=env))


if __name__ == "__main__":
    main()
