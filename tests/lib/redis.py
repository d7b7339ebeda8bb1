# SPDX-License-Identifier: Apache-2.0
"""Real Redis servers and Sentinels of one test, on loopback."""

import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.lib.waiting import accepts, eventually, free_ports

MASTER_NAME = "mail"
# What docs/configuration.md tells an administrator to allow.
RIGHTS = "resetchannels ~postern:* +ping +role +eval +evalsha +get +set +hmget +hset +pexpire +time"
SENTINEL_RIGHTS = "resetchannels &+switch-master +ping +subscribe +sentinel|get-master-addr-by-name"


class Server:
    """One redis-server, as a server or as a Sentinel, with the lines of its configuration file."""

    def __init__(self, home, port, lines, sentinel=False, cli=()):
        self.port = port
        self.cli = list(cli)
        self.file = Path(home) / f"{port}.conf"
        self.file.write_text("\n".join([f"dir {home}", 'save ""', "bind 127.0.0.1", *lines, ""]))
        self.options = ["--sentinel"] if sentinel else []
        self.child = None
        self.start()

    def start(self):
        self.child = subprocess.Popen(["redis-server", self.file, *self.options], stdout=subprocess.DEVNULL)
        eventually(lambda: accepts("127.0.0.1", self.port), 10, f"the server on port {self.port}")

    def command(self, *words, check=True):
        done = subprocess.run(["redis-cli", "-p", str(self.port), *self.cli, *words], capture_output=True, text=True,
                              timeout=20)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def role(self):
        return self.command("ROLE").split("\n")[0]

    def signal(self, which):
        self.child.send_signal(which)

    def kill(self):
        self.child.kill()
        self.child.wait()


class Cluster:
    """A primary, a replica and three Sentinels that find a dead primary after half a second."""

    def __init__(self, password=None, tls=None):
        self.home = Path(tempfile.mkdtemp(prefix="pr-"))
        self.password, self.tls = password, tls
        self.servers, self.sentinels = [], []
        ports = free_ports(5)
        self.cli = ["--tls", "--cacert", str(tls[0])] if tls else []
        for port in ports[:2]:
            lines = self.common(port, RIGHTS) + ["enable-debug-command local"]
            if self.servers:
                lines.append(f"replicaof 127.0.0.1 {ports[0]}")
            self.servers.append(Server(self.home, port, lines, cli=self.cli))
        for port in ports[2:]:
            self.sentinels.append(Server(self.home, port, self.common(port, SENTINEL_RIGHTS) + [
                f"sentinel monitor {MASTER_NAME} 127.0.0.1 {ports[0]} 2",
                f"sentinel down-after-milliseconds {MASTER_NAME} 500",
                f"sentinel failover-timeout {MASTER_NAME} 3000"], sentinel=True, cli=self.cli))
        eventually(self.is_whole, 30, "the Sentinels to know the replica and each other")

    def common(self, port, rights):
        lines = [f"port {port}"]
        if self.tls:
            lines = ["port 0", f"tls-port {port}", f"tls-cert-file {self.tls[0]}", f"tls-key-file {self.tls[1]}",
                     f"tls-ca-cert-file {self.tls[0]}", "tls-auth-clients no", "tls-replication yes"]
        if self.password:
            lines.append(f"user postern on >{self.password} {rights}")
        return lines

    def is_whole(self):
        def fields(sentinel):
            words = sentinel.command("SENTINEL", "MASTER", MASTER_NAME).split("\n")
            return dict(zip(words[::2], words[1::2]))
        known = [fields(sentinel) for sentinel in self.sentinels]
        return all(one.get("num-slaves") == "1" and one.get("num-other-sentinels") == "2" for one in known) and \
            "state=online" in self.servers[0].command("INFO", "replication")

    def primary(self):
        """The server that the Sentinels name."""
        port = self.sentinels[0].command("SENTINEL", "get-master-addr-by-name", MASTER_NAME).split("\n")[1]
        return next(server for server in self.servers if server.port == int(port))

    def replica(self):
        primary = self.primary()
        return next(server for server in self.servers if server is not primary)

    def document(self, password_file=None):
        made = {"sentinels": [f"127.0.0.1:{one.port}" for one in self.sentinels], "master_name": MASTER_NAME}
        if self.password:
            made.update(user="postern", password_file=str(password_file), sentinel_user="postern",
                        sentinel_password_file=str(password_file))
        if self.tls:
            made.update(authorities=str(self.tls[0]), host="redis.test.example")
        return made

    def close(self):
        for server in self.sentinels + self.servers:
            server.signal(signal.SIGCONT)
            server.kill()
        shutil.rmtree(self.home)
