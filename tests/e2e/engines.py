"""Redis or Valkey servers for several sites, as docs/SITES.md has them: one user per tracker, over TLS where wanted; and a hand at their streams."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess

from lab import Fault, wait

PORT, TLS_PORT = 6379, 6380
NETWORK = "retracker"
# What a tracker may do, and no more; as in docs/SITES.md.
RIGHTS = ("-@all %RW~rt:{network}:d:{name} +xadd +unlink +xinfo|stream +ping +hello +client|setname +scan +time +info "
          "(%R~rt:{network}:d:* +xread +xrange +xinfo|stream)")


def password_of(name):
    return f"secret-of-{name}"


def make_certificates(folder, hosts):
    """A CA, a certificate of it for the hosts' addresses, and another CA that has nothing to do with them."""
    def openssl(*words):
        done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise Fault(f"openssl {words[0]}: {done.stderr[-500:]}")

    for name in ("ca", "other-ca"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name} of the sites")
    with open(os.path.join(folder, "extensions"), "w") as file:
        file.write("subjectAltName = " + ", ".join(f"IP:{host.v4}, IP:{host.v6}" for host in hosts) + "\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "engine.key", "-out", "engine.csr",
            "-subj", "/CN=engine")
    openssl("x509", "-req", "-in", "engine.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-extfile", "extensions", "-out", "engine.pem")


class Engine:
    """A Redis server on a host of its own. Nothing of it is on a disk: the log is what it has in memory."""

    def __init__(self, host, folder, names, certificates=None, program="redis-server"):
        self.host, self.folder, self.certificates, self.program = host, folder, certificates, program
        self.process = None
        os.makedirs(folder, exist_ok=True)
        users = ["user default off", f"user operator on >{password_of('operator')} ~* &* +@all"]
        for name in names:
            rights = RIGHTS.format(network=NETWORK, name=name)
            users.append(f"user {name} on >{password_of(name)} {rights}")
        with open(os.path.join(folder, "users.acl"), "w") as file:
            file.write("\n".join(users) + "\n")
        lines = [f"port {PORT}", "bind * -::*", "protected-mode no", 'save ""', "appendonly no", "maxmemory 256mb",
                 "maxmemory-policy noeviction", f"aclfile {folder}/users.acl", f"dir {folder}"]
        if certificates:
            lines += [f"tls-port {TLS_PORT}", f"tls-cert-file {certificates}/engine.pem", f"tls-key-file {certificates}/engine.key",
                      f"tls-ca-cert-file {certificates}/ca.pem", "tls-auth-clients no"]
        with open(os.path.join(folder, "redis.conf"), "w") as file:
            file.write("\n".join(lines) + "\n")

    def url(self):
        return f"rediss://{self.host.v4}:{TLS_PORT}" if self.certificates else f"redis://{self.host.v4}:{PORT}"

    def start(self):
        self.process = self.host.start([self.program, os.path.join(self.folder, "redis.conf")], os.path.join(self.folder, "log"))

        def answers():
            if not self.process.is_running():
                raise Fault(f"the engine ended:\n{self.process.tail()}")
            try:
                with self.operator() as operator:
                    return operator.ask("PING") == b"PONG"
            except OSError as error:
                return str(error)

        wait("the engine answers", answers)

    def kill(self):
        """Ends it at once: all of its log is gone."""
        self.process.signal(signal.SIGKILL)
        self.process.end()

    def freeze(self):
        self.process.signal(signal.SIGSTOP)

    def thaw(self):
        self.process.signal(signal.SIGCONT)

    def operator(self):
        return self.user("operator")

    def user(self, name):
        """A connection of that user."""
        return self.host.call(Client, self.host.v4, name)


class Client:
    """As little of the protocol (RESP2) as is needed to look at streams and to write into them."""

    def __init__(self, address, name):
        self.socket = socket.create_connection((address, PORT), timeout=60)
        self.file = self.socket.makefile("rb")
        self.ask("AUTH", name, password_of(name))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))

    def ask(self, *words):
        self.send(*words)
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("the engine closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise Fault(f"the engine refuses: {rest.decode()}")
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            value = self.file.read(int(rest) + 2)
            return value[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        raise Fault(f"the engine says {line!r}")

    def entries(self, stream, count=100):
        """The newest entries of a stream: each a dictionary of its fields."""
        found = self.ask("XREVRANGE", stream, "+", "-", "COUNT", count)
        return [dict(zip(fields[::2], fields[1::2])) for _, fields in found]


def verified(engine):
    """Whether the engine's certificate is its CA's; a fault of the set-up shows itself here and not in a tracker's log."""
    context = ssl.create_default_context(cafile=os.path.join(engine.certificates, "ca.pem"))
    with contextlib.closing(socket.create_connection((engine.host.v4, TLS_PORT), timeout=10)) as plain:
        with context.wrap_socket(plain, server_hostname=engine.host.v4) as wrapped:
            return wrapped.version()
