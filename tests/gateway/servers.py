"""servers: on loopback: names, echo, HTTP and HTTPS with a certificate of the test's own."""
import fcntl
import os
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import tempfile
import threading

ALONE = "LZ_SERVERS_ALONE"


def loopback_up():
    """In a network namespace of our own, where it is down."""
    with socket.socket() as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP


def alone():
    """Begins this program again in a network namespace of its own, with lo up; as root only, for what
    it runs is to be root there as here."""
    if is_alone():
        loopback_up()
    elif os.geteuid() == 0:
        os.environ[ALONE] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])


def is_alone():
    return ALONE in os.environ


class _Threads(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256


class _Threads6(_Threads):
    address_family = socket.AF_INET6


def tcp(handle, host="127.0.0.1", context=None):
    """A server whose handler is handle(socket); its port."""
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            s = self.request
            try:
                if context:
                    s = context.wrap_socket(s, server_side=True)
                handle(s)
            except (OSError, ssl.SSLError):
                pass
            finally:
                s.close()

    server = (_Threads6 if ":" in host else _Threads)((host, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def echo(s):
    while True:
        got = s.recv(65536)
        if not got:
            break
        s.sendall(got)
    s.shutdown(socket.SHUT_WR)


class Parent:
    """A proxy that takes CONNECT: what it answers to a name is answers[name], in place of 200."""

    def __init__(self, host="127.0.0.1"):
        self.answers = {}
        self.heads = []
        self.port = tcp(self._serve, host)
        self.at = f"{host}:{self.port}"

    def _serve(self, s):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = s.recv(1)
            if not more:
                return
            head += more
        self.heads.append(head.decode())
        to = head.split(b" ")[1].decode()
        name, port = to.rsplit(":", 1)
        if name in self.answers:
            self.answers[name](s)
            return
        with socket.create_connection(("127.0.0.1", int(port))) as there:
            s.sendall(b"HTTP/1.1 200 fine\r\nX-Proxy: yes\r\n\r\n")
            threading.Thread(target=self._copy, args=(there, s), daemon=True).start()
            self._copy(s, there)

    @staticmethod
    def _copy(a, b):
        try:
            while got := a.recv(65536):
                b.sendall(got)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Silent:
    """Addresses with this port, where nothing answers: the queue of who may be accepted is full."""

    def __init__(self, port, *hosts):
        self.sockets = []
        for host in hosts:
            s = socket.socket()
            s.bind((host, port))
            s.listen(0)
            self.sockets += [s, socket.create_connection((host, port))]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.sockets:
            s.close()


class Names:
    """A name server: answers[name] is a list of addresses, or a function that returns one. Of those in
    `cut` the answer is whole over TCP only."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []
        self.cut = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.stream = socket.create_server(self.socket.getsockname())
        self.port = self.socket.getsockname()[1]
        self.at = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()
        threading.Thread(target=self._serve_streams, daemon=True).start()

    def _answer(self, q, cuts):
        name, at = [], 12
        while q[at]:
            name.append(q[at + 1:at + 1 + q[at]].decode())
            at += 1 + q[at]
        name = ".".join(name).lower()
        kind = struct.unpack(">H", q[at + 1:at + 3])[0]
        self.asked.append(name)
        addresses = self.answers.get(name)
        if callable(addresses):
            addresses = addresses(kind)
        if addresses == "silence":
            return None
        cut = cuts and name in self.cut
        family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        found = [a for a in addresses or [] if (":" in a) == (family == socket.AF_INET6) and not cut]
        rr = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, 4 if kind == 1 else 16)
                      + socket.inet_pton(family, a) for a in found if family)
        flags = (0x8180 if addresses is not None else 0x8183) | (0x200 if cut else 0)
        return q[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0) + q[12:at + 5] + rr

    def _serve(self):
        while True:
            q, peer = self.socket.recvfrom(4096)
            answer = self._answer(q, cuts=True)
            if answer:
                self.socket.sendto(answer, peer)

    def _serve_streams(self):
        while True:
            with self.stream.accept()[0] as s, s.makefile("rb") as questions:
                while head := questions.read(2):
                    answer = self._answer(questions.read(int.from_bytes(head, "big")), cuts=False)
                    s.sendall(struct.pack(">H", len(answer)) + answer)


class Certificates:
    """A CA, and contexts of servers that it vouches for."""

    def __init__(self):
        self.dir = tempfile.mkdtemp()
        os.chmod(self.dir, 0o755)
        self.ca = f"{self.dir}/ca.pem"
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                  "-keyout", f"{self.dir}/ca.key", "-out", self.ca, "-days", "2", "-subj", "/CN=test")

    def _run(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True)

    def server(self, name):
        base = f"{self.dir}/{name}"
        with open(f"{base}.ext", "w", encoding="ascii") as f:
            f.write(f"subjectAltName=DNS:{name}\n")
        self._run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                  "-keyout", f"{base}.key", "-out", f"{base}.csr", "-subj", f"/CN={name}")
        self._run("x509", "-req", "-in", f"{base}.csr", "-CA", self.ca, "-CAkey", f"{self.dir}/ca.key",
                  "-CAcreateserial", "-days", "2", "-out", f"{base}.pem", "-extfile", f"{base}.ext")
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(f"{base}.pem", f"{base}.key")
        return c

    def client(self):
        return ssl.create_default_context(cafile=self.ca)

    def remove(self):
        shutil.rmtree(self.dir)
