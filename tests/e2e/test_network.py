"""Network rules: what manifests say of them."""
import json
import os

from e2e import *


def _write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text if isinstance(text, str) else json.dumps(text))
    os.chmod(path, 0o600)
    return path


def _refused(done, status, *words):
    equal(done.returncode, status)
    for word in words:
        check(word in done.stderr.decode(), f"no '{word}' in: {done.stderr.decode()}")


def what_a_manifest_allows_more_than_another_is_said_and_is_the_status(folder):
    head = {"format": "lazaret-manifest", "version": 1}
    first = _write(folder, "a.json", {**head, "network": ["https://*.example.org"], "memory": "1G"})
    second = _write(folder, "b.json", {**head, "network": ["https://a.example.org", "https://example.com"]})
    done = lazaret("manifest", "diff", first, second)
    equal((done.returncode, done.stdout.decode()), (1, f"{second}:1: network: https://example.com\n"))
    equal(json.loads(finished(lazaret("manifest", "diff", "--json", first, second), 1)),
          [{"key": "network", "place": f"{second}:1", "text": "https://example.com"}])
    equal(finished(lazaret("manifest", "diff", first, first)), b"")
    _refused(lazaret("manifest", "diff", first, folder + "/none"), 125, "none")
    _refused(lazaret("manifest", "diff", first), 125, "diff needs two manifests")


if __name__ == "__main__":
    main()
