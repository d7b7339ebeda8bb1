# SPDX-License-Identifier: Apache-2.0
"""Redis behind Sentinels: what an ingress does when it fails over, hangs, forgets or says no."""

import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time

import pytest

from tests.conformance.alone import Ingress
from tests.lib.proxy import Proxy
from tests.lib.redis import Cluster
from tests.lib.smtp import Dialogue
from tests.lib.waiting import Late, eventually

CLIENT = "127.0.0.9"  # not among the unlimited
DELAY_S = 1
SLOWER_MS = 20        # so much a fault of Redis may cost, at the 99th percentile

pytestmark = pytest.mark.skipif(not shutil.which("redis-server"), reason="not run: no redis-server")


def documents(redis):
    return {"ingress": {"unlimited": ["127.0.0.1"], "greylist": True, "greylist_delay_s": DELAY_S,
                        "rate_per_minute_client": 1000000}, "redis": redis}


@pytest.fixture(scope="module")
def cluster():
    made = Cluster()
    yield made
    made.close()


def whole_again(cluster):
    """Both servers run, one of them as a replica that is in step."""
    for server in cluster.servers:
        server.signal(signal.SIGCONT)
        if server.child.poll() is not None:
            server.start()
    def roles():
        return [cluster.primary().role(), cluster.replica().role()] == ["master", "slave"] and \
            "state=online" in cluster.primary().command("INFO", "replication")
    eventually(roles, 60, "a primary and its replica", pause=0.2)


@pytest.fixture
def redis(cluster):
    whole_again(cluster)
    return cluster


def triple_code(ingress, name):
    with ingress.session(source=CLIENT) as session:
        session.command("EHLO client.example")
        session.command(f"MAIL FROM:<{name}@client.example>")
        return session.command("RCPT TO:<b@example.org>")


class Load(threading.Thread):
    """A client that sends one mail after the other, each to a known recipient and to one whose triple is new."""

    def __init__(self, ingress, name):
        super().__init__()
        self.ingress, self.name, self.number, self.stop, self.error = ingress, name, 0, False, None
        self.took_ms, self.odd = [], []
        assert triple_code(ingress, name) == 451
        time.sleep(DELAY_S + 0.1)
        assert triple_code(ingress, name) == 250

    def mail(self, session):
        begin = time.monotonic()
        self.number += 1
        codes = [session.command(f"MAIL FROM:<{self.name}@client.example>"),
                 session.command("RCPT TO:<b@example.org>"),
                 session.command(f"RCPT TO:<new-{self.number}@example.org>"),
                 session.message(b"Subject: x\r\n\r\nx\r\n.\r\n")[0]]
        self.took_ms.append((time.monotonic() - begin) * 1000)
        if codes != [250, 250, 451, 250]:
            self.odd.append(codes)

    def run(self):
        try:
            while not self.stop:
                with self.ingress.session(source=CLIENT) as session:
                    session.command("EHLO client.example")
                    for _ in range(5):
                        self.mail(session)
        except Exception as error:  # told to who waits for the thread
            self.error = error

    def p99_ms(self):
        return statistics.quantiles(self.took_ms, n=100)[98]


def under_load(ingress, name, fault, seconds):
    """Mail while `fault()` is in force for some seconds: what it took before and meanwhile."""
    load = Load(ingress, name)
    load.start()
    time.sleep(2)
    before, load.took_ms = load.p99_ms(), []
    fault()
    time.sleep(seconds)
    load.stop = True
    load.join()
    assert load.error is None and load.odd == [], (load.error, load.odd[:3])
    assert len(load.took_ms) > 100
    print(f"{len(load.took_ms)} mails, p99 {before:.1f} ms, with the fault {load.p99_ms():.1f} ms, "
          f"longest {max(load.took_ms):.0f} ms")
    assert load.p99_ms() <= before + SLOWER_MS
    assert max(load.took_ms) < 1000


def shares(one, other, name, seconds=60):
    """A triple that `one` has seen passes at `other`: both ask the same Redis."""
    def passes():
        passes.tries += 1
        triple = f"{name}-{passes.tries}"
        assert triple_code(one, triple) == 451
        time.sleep(DELAY_S + 0.1)
        return triple_code(other, triple) == 250
    passes.tries = 0
    try:
        eventually(passes, seconds, "both ingresses to share one Redis", pause=0)
    except Late:
        for ingress in (one, other):
            print("== ingress", *[line for line in ingress.log().splitlines() if "redis." in line or "sentinel." in line],
                  sep="\n")
        raise


# --- faults under load
def kill(cluster):
    cluster.primary().kill()


def hang(cluster):
    cluster.primary().signal(signal.SIGSTOP)


def hand_over(cluster):
    cluster.sentinels[0].command("SENTINEL", "FAILOVER", "mail")


def make_read_only(cluster):
    """The primary refuses writes before any Sentinel says so."""
    primary = cluster.primary()
    primary.command("CONFIG", "SET", "min-replicas-to-write", "0")
    primary.command("REPLICAOF", "127.0.0.1", str(cluster.replica().port))


def flush(cluster):
    cluster.primary().command("FLUSHALL")


def forget_scripts(cluster):
    for _ in range(10):
        cluster.primary().command("SCRIPT", "FLUSH")
        time.sleep(0.2)


def sleep(cluster):
    threading.Thread(target=cluster.primary().command, args=("DEBUG", "SLEEP", "0.4"), daemon=True).start()


def keep_busy(cluster):
    primary = cluster.primary()
    primary.command("CONFIG", "SET", "busy-reply-threshold", "50")
    threading.Thread(target=primary.command, args=("EVAL", "while true do end", "0"), kwargs={"check": False},
                     daemon=True).start()
    time.sleep(1.5)
    # A Sentinel may have ended it already.
    eventually(lambda: primary.command("SCRIPT", "KILL", check=False).split(" ")[0] in ("OK", "NOTBUSY"), 10,
               "the script to end")


@pytest.mark.parametrize("fault, seconds", [
    (kill, 4), (hang, 4), (hand_over, 4), (make_read_only, 4), (flush, 2), (forget_scripts, 2), (sleep, 3),
    (keep_busy, 3)], ids=lambda value: getattr(value, "__name__", ""))
def test_mail_goes_on_at_its_pace_and_redis_is_found_again(redis, fault, seconds):
    with Ingress(documents(redis.document())) as one, Ingress(documents(redis.document())) as other:
        one.logged("redis.answers")
        other.logged("redis.answers")
        under_load(one, f"load-{fault.__name__}", lambda: fault(redis), seconds)
        shares(one, other, fault.__name__)


def test_a_network_that_stalls_half_of_the_time_slows_no_mail(redis):
    proxy, over = Proxy(("127.0.0.1", redis.primary().port)), threading.Event()
    def stall():
        while not over.wait(0.3):
            proxy.black_hole()
            over.wait(0.3)
            proxy.mend()
    thread = threading.Thread(target=stall)
    try:
        with Ingress(documents({"address": f"127.0.0.1:{proxy.port}"})) as ingress:
            ingress.logged("redis.answers")
            under_load(ingress, "load-stall", thread.start, 4)
            over.set()
            eventually(lambda: ingress.log().rfind("redis.answers") > ingress.log().rfind("redis.away"), 15,
                       "Redis to be asked again")
    finally:
        over.set()
        thread.join()
        proxy.stop()


def test_a_fail_over_is_followed_when_a_sentinel_tells_of_it(redis):
    with Ingress(documents(redis.document())) as ingress:
        ingress.logged("redis.answers")
        old, new = redis.primary(), redis.replica()
        old.signal(signal.SIGSTOP)
        eventually(lambda: new.role() == "master", 20, "the replica to become the primary")
        eventually(lambda: f"redis.answers address=127.0.0.1:{new.port}" in ingress.log(), 2, "the new primary")


def test_a_sentinel_that_dies_or_hangs_is_replaced_by_another(redis):
    with Ingress(documents(redis.document())) as ingress:
        ingress.logged("redis.answers")
        port = int(ingress.logged(r"sentinel.listens address=127.0.0.1:(\d+)")[1])
        first = next(one for one in redis.sentinels if one.port == port)
        try:
            first.signal(signal.SIGSTOP)
            ingress.logged(f"sentinel.left address=127.0.0.1:{port} reason=\"it fell silent\"", 12)
            eventually(lambda: ingress.log().count("sentinel.listens") == 2, 5, "another Sentinel")
            assert "redis.away" not in ingress.log()
        finally:
            first.signal(signal.SIGCONT)


def test_users_with_the_documented_rights_and_tls_are_enough(tmp_path):
    key, chain, secret = tmp_path / "key.pem", tmp_path / "chain.pem", tmp_path / "secret"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                    "/CN=redis.test.example", "-addext", "subjectAltName=DNS:redis.test.example,IP:127.0.0.1",
                    "-keyout", key, "-out", chain], check=True, capture_output=True)
    secret.write_text("only-for-tests\n")
    cluster = Cluster(password="only-for-tests", tls=(chain, key))
    try:
        with Ingress(documents(cluster.document(secret))) as one, Ingress(documents(cluster.document(secret))) as other:
            one.logged("redis.answers")
            other.logged("redis.answers")
            shares(one, other, "secure")
            new = cluster.replica()
            cluster.primary().kill()
            one.logged(f"redis.answers address=127.0.0.1:{new.port}", 20)
            assert "NOPERM" not in one.log()
            assert "only-for-tests" not in one.log()
        secret.write_text("wrong\n")
        with Ingress(documents(cluster.document(secret))) as refused:
            refused.logged("WRONGPASS")
            assert triple_code(refused, "alone") == 451
            time.sleep(DELAY_S + 0.1)
            assert triple_code(refused, "alone") == 250
    finally:
        cluster.close()


class Hostile(threading.Thread):
    """Takes connections and answers whatever is asked with the same bytes."""

    def __init__(self, answer):
        super().__init__(daemon=True)
        self.answer, self.listener = answer, socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self.start()

    def serve(self, connection):
        with connection:
            try:
                while connection.recv(4096):
                    connection.sendall(self.answer)
            except OSError:
                return

    def run(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()


@pytest.mark.parametrize("answer", [b"*2147483647\r\n", b"*1\r\n" * 50, b"$2000000000\r\n" + b"x" * 100000,
                                    b"+OK\r\n" * 1000, b"-BUSY no\r\n", b"-READONLY no\r\n", b"HTTP/1.1 200 OK\r\n\r\n",
                                    b"", b"*2\r\n$4\r\nnull\r\n$1\r\n0\r\n"], ids=lambda value: value[:8].decode().strip())
def test_what_a_hostile_redis_or_sentinel_says_costs_no_mail(answer):
    server = Hostile(answer)
    for redis in ({"address": f"127.0.0.1:{server.port}"},
                  {"sentinels": [f"127.0.0.1:{server.port}"], "master_name": "mail"}):
        with Ingress(documents(redis)) as ingress:
            eventually(lambda: server.connections, 5, "a connection")
            assert triple_code(ingress, "a") == 451
            time.sleep(DELAY_S + 0.1)
            assert triple_code(ingress, "a") == 250
            with Dialogue(ingress.port, source=CLIENT) as session:
                session.start_mail(sender="a@client.example", recipient="b@example.org")
                assert session.message(b"Subject: x\r\n\r\nx\r\n.\r\n")[0] == 250
            assert ingress.child.poll() is None
        server.connections = 0
    server.listener.close()
