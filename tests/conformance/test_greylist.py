# SPDX-License-Identifier: Apache-2.0
"""Greylisting and rates as a client sees them, with Redis, without, and while it hangs."""

import signal
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.conformance.alone import Ingress
from tests.lib.messages import fresh_mail
from tests.lib.smtp import Dialogue, send_mail
from tests.lib.waiting import eventually

CLIENT = "127.0.0.9"


class Redis:
    def __init__(self):
        self.home = Path(tempfile.mkdtemp(prefix="pr-"))
        self.socket = self.home / "redis.sock"
        self.child = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
                                       "--dir", self.home], stdout=subprocess.DEVNULL)
        eventually(self.socket.exists, 10, "redis-server")

    def close(self):
        self.child.kill()
        self.child.wait()
        shutil.rmtree(self.home)


@pytest.fixture
def redis():
    if not shutil.which("redis-server"):
        pytest.skip("not run: no redis-server")
    server = Redis()
    yield server
    server.close()


def documents(redis=None):
    made = {"ingress": {"unlimited": ["127.0.0.1"], "greylist": True, "greylist_delay_s": 2}}
    if redis:
        made["redis"] = {"address": f"unix:{redis.socket}"}
    return made


def replies(ingress, *recipients, sender="a@client.example"):
    """The replies to RCPT, sent in one segment, in order."""
    with ingress.session(source=CLIENT) as session:
        assert session.command("EHLO client.example") == 250
        session.send(f"MAIL FROM:<{sender}>\r\n".encode() +
                     b"".join(f"RCPT TO:<{one}@example.org>\r\n".encode() for one in recipients) + b"NOOP\r\n")
        heard = [" ".join(session.reply()[1].split(" ")[:2]) for _ in range(len(recipients) + 2)]
        assert heard[0] == "250 2.1.0" and heard[-1] == "250 2.0.0"
        return heard[1:-1]


def test_a_triple_passes_at_another_worker_and_replies_keep_their_order(redis):
    with Ingress(documents(redis)) as one, Ingress(documents(redis)) as other:
        one.logged("redis.answers")
        other.logged("redis.answers")
        assert replies(one, "b", "c") == ["451 4.7.1"] * 2
        time.sleep(2.1)
        assert replies(other, "b", "new", "c", "b") == ["250 2.1.5", "451 4.7.1", "250 2.1.5", "250 2.1.5"]
        with other.session(source=CLIENT) as session:
            session.start_mail(sender="a@client.example", recipient="b@example.org")
            assert session.message(b"Subject: x\r\n\r\nx\r\n.\r\n")[0] == 250


def test_a_hanging_redis_delays_only_who_asks_and_then_nobody(redis):
    with Ingress(documents(redis)) as ingress:
        ingress.logged("redis.answers")
        redis.child.send_signal(signal.SIGSTOP)
        with ingress.session(source=CLIENT) as asking, ingress.session() as other:
            assert asking.command("EHLO client.example") == 250
            assert asking.command("MAIL FROM:<a@client.example>") == 250
            start = time.monotonic()
            asking.send(b"RCPT TO:<b@example.org>\r\n")
            other.start_mail()                                # unlimited: not asked about
            assert other.message(b"Subject: x\r\n\r\nx\r\n.\r\n")[0] == 250
            assert time.monotonic() - start < 0.2
            assert asking.reply()[1].startswith("451 4.7.1")
            assert 0.2 < time.monotonic() - start < 0.6
        assert replies(ingress, *[f"u{number}" for number in range(8)]) == ["451 4.7.1"] * 8
        ingress.logged("redis.away")
        start = time.monotonic()
        assert replies(ingress, *[f"v{number}" for number in range(50)]) == ["451 4.7.1"] * 50
        assert time.monotonic() - start < 1
        time.sleep(2)
        assert replies(ingress, "b") == ["250 2.1.5"]         # by its own memory
        redis.child.send_signal(signal.SIGCONT)
        eventually(lambda: ingress.log().count("redis.answers") > 1, 10, "Redis to be found again")


def test_a_client_that_leaves_while_redis_is_asked_leaves_nothing_behind(redis):
    with Ingress(documents(redis)) as ingress:
        ingress.logged("redis.answers")
        redis.child.send_signal(signal.SIGSTOP)
        for _ in range(4):
            with ingress.session(source=CLIENT) as session:
                session.command("EHLO client.example")
                session.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@example.org>\r\n")
                assert session.reply()[0] == 250
        redis.child.send_signal(signal.SIGCONT)
        assert replies(ingress, "b") == ["451 4.7.1"]


def test_without_redis_greylisting_works_alone():
    with Ingress(documents()) as ingress:
        assert replies(ingress, "b") == ["451 4.7.1"]
        time.sleep(2.1)
        assert replies(ingress, "b", "other") == ["250 2.1.5", "451 4.7.1"]


# --- the whole gateway
def test_verdicts_make_a_reputation_that_all_workers_share(gateway, redis):
    gateway.configure({"redis": {"address": f"unix:{redis.socket}"}})
    for kind in ("clean", "clean", "clean", "spam"):
        send_mail(gateway.port, fresh_mail(kind=kind))
    def counts():
        told = subprocess.run(["redis-cli", "-s", redis.socket, "HMGET", "postern:client:7f000001", "good", "bad"],
                              capture_output=True, text=True, check=True).stdout.split()
        return told == ["3", "1"]
    eventually(counts, 10, "the client's good and bad mails in Redis")
    def redis_state():
        return gateway.ask("status")["workers"]["worker-1"]["redis"]
    eventually(lambda: redis_state()["role"] == "primary", 10, "status to know the primary")
    assert 0 < redis_state()["round_trip_ms"] < 250


def test_redis_gone_is_degraded_not_down(gateway, redis):
    def degraded():
        worker = gateway.ask("status")["workers"].get("worker-1")  # none before its first heartbeat
        return worker and worker["degraded"]
    gateway.configure({"redis": {"address": f"unix:{redis.socket}"}})
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    eventually(lambda: degraded() == [], 10, "status to know the worker")
    redis.child.kill()
    eventually(lambda: degraded() == ["redis"], 20, "status to say degraded")
    assert gateway.ask("status")["workers"]["worker-1"]["redis"] == {"role": "away", "round_trip_ms": 0}
    assert "worker-1 is degraded, without redis" in gateway.command("status")
    mail = fresh_mail()
    assert send_mail(gateway.port, mail)[0] == 250
    gateway.inbox.wait_for(mail.ident)


def test_greylisted_and_refused_recipients_are_known_to_the_master(gateway):
    gateway.configure({"ingress": {"unlimited": [], "greylist": True, "greylist_delay_s": 60}})
    def put_off():
        with Dialogue(gateway.port) as session:
            session.command("EHLO client.example")
            session.command("MAIL FROM:<unknown@client.example>")
            return session.command("RCPT TO:<b@example.org>") == 451 and session.command("RCPT TO:<b@x.example>") == 550
    eventually(put_off, 20, "the greylist to be in force")
    def told():
        rows = gateway.messages("--rejected", "--sender", "unknown@client.example")
        replies = {one["address"]: one["reply"] for row in rows for one in row["recipients"]}
        return {"b@example.org", "b@x.example"} <= set(replies) and replies
    replies = eventually(told, 20, "the master to know the refused recipients", pause=0.2)
    assert replies["b@example.org"].startswith("451 4.7.1") and replies["b@x.example"].startswith("550 5.7.1")
