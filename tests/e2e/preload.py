"""preload: a library of ours in lazaret's processes, and the file by which a test talks to it (preloaded.h)."""
import mmap
import os
import struct

from e2e import *


class Preload:
    """The library lib`name`.so, whose file is of 32-bit numbers first; what they mean is the library's."""

    def __init__(self, folder, name, size=4096):
        default = os.path.join(os.path.dirname(LAZARET), f"../../tests/e2e/lib{name}.so")
        self.library = os.environ.get(f"LAZARET_E2E_{name.upper()}", default)
        if not os.path.exists(self.library):
            raise Skip(f"built without the library '{name}'")
        self.variable, self.path = f"LAZARET_{name.upper()}", f"{folder}/{name}"
        with open(self.path, "wb+") as f:
            f.truncate(size)
            self.map = mmap.mmap(f.fileno(), size)

    def env(self):
        return {"LD_PRELOAD": self.library, self.variable: self.path}

    def clear(self):
        self.map[:] = bytes(len(self.map))

    def set(self, field, value):
        self.map[4 * field:4 * field + 4] = struct.pack("<i", value)

    def get(self, field):
        return struct.unpack_from("<i", self.map, 4 * field)[0]

    def text(self, at):
        return self.map[at:at + 128].split(b"\0")[0].decode(errors="replace")
