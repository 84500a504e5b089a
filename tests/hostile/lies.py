"""lies: runs a guest that tells one (liar.c) in the place of the agent."""
import json
import os
import time

import store
from e2e import *

LIAR = os.environ["LIAR"]


def put_liar(folder, name):
    """A data folder whose default image tells this lie."""
    os.chmod(folder, 0o700)
    images = f"{folder}/images"
    store.copy(f"{DATA}/images", images)
    with open(LIAR, "rb") as f:
        store.put_part(images, "initramfs", store.initramfs(f.read()),
                       cmdline=store.manifest(images)["cmdline"] + f" liar={name}")


def arguments(*options):
    return ["run", "--accel", "tcg", "--cold", "--machine", "q35", "--json", "--keep-logs", *options, "--", "true"]


def tell(folder, name, *options, env=None, seconds=60):
    """Runs `true` in a guest that tells this lie; the result object and where its logs are."""
    put_liar(folder, name)
    began = time.monotonic()
    with Nothing():
        r = lazaret(*arguments(*options), env={**(env or {}), "LAZARET_DATA_DIR": folder}, timeout=2 * seconds)
    check(time.monotonic() - began < seconds, "not in bounded time")
    check(all(b == 0x0a or 0x20 <= b < 0x7f for b in r.stdout + r.stderr), "raw bytes of the guest")
    return json.loads(r.stdout), f"{folder}/runs", r
