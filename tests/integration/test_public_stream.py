# SPDX-License-Identifier: Apache-2.0
"""Events for monitoring tools: the public stream, server-sent events, and the command line on the same."""

import contextlib
import json
import queue
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tests.lib.gateway import BUILD, ROOT, CommandFailed, Gateway
from tests.lib.messages import fresh_mail
from tests.lib.smtp import send_mail
from tests.lib.waiting import eventually


class Lines:
    """The lines that a program prints, or a connection brings, as they come."""

    def __init__(self, source):
        self.lines = queue.Queue()
        threading.Thread(target=self.read, args=(source,), daemon=True).start()

    def read(self, source):
        with contextlib.suppress(ValueError, OSError):
            for line in source:
                self.lines.put(line.decode() if isinstance(line, bytes) else line)

    def until(self, fits, seconds=15):
        """The first line that fits, and all before it."""
        seen = []
        try:
            while True:
                seen.append(self.lines.get(timeout=seconds).rstrip("\n"))
                if fits(seen[-1]):
                    return seen
        except queue.Empty:
            raise AssertionError(f"no such line among {seen}") from None


@contextlib.contextmanager
def program(*command):
    child = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield Lines(child.stdout)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()


@pytest.fixture(scope="module")
def gateway():
    """One whose policy never rejects."""
    with Gateway(documents={"policy/default": {"reject": None, "quarantine": 8}}) as fresh:
        yield fresh


def create(gateway, name):
    return gateway.ask("subscriber", "create", name, "--key", str(gateway.home / f"{name}.key"))


def subscriber(gateway, made, *topic):
    return program(sys.executable if "zmq" in sys.modules else "/usr/bin/python3", ROOT / "docs/subscriber.py",
                   made["address"], made["server_key"], made["key_file"], *topic)


def test_the_subscriber_of_the_docs_prints_what_happens(gateway):
    with subscriber(gateway, create(gateway, "watcher")) as lines:
        lines.until(lambda line: '"kind":"position"' in line)  # it is connected
        mail = fresh_mail()
        assert send_mail(gateway.port, mail)[0] == 250
        event = json.loads(lines.until(lambda line: mail.message_id in line)[-1])
    assert event["kind"] == "done" and event["node"] == "worker-1" and event["sender"] == mail.sender.decode()
    assert event["recipients"] == [{"address": mail.recipients[0].decode(), "disposition": "delivered",
                                    "reply": event["recipients"][0]["reply"]}]
    assert json.loads(gateway.command("events", "--after", str(event["commit"] - 1), "--limit", "1", "--json")) == event


def test_a_topic_chooses_the_kind(gateway):
    with subscriber(gateway, create(gateway, "quarantines"), "event.quarantined.") as lines, \
            subscriber(gateway, create(gateway, "positions"), "event.position.") as positions:
        positions.until(lambda line: '"kind":"position"' in line)
        def arrives():
            mail = fresh_mail(kind="spam")
            send_mail(gateway.port, fresh_mail())
            send_mail(gateway.port, mail)
            with contextlib.suppress(AssertionError):  # it may not have been connected yet
                return lines.until(lambda line: mail.message_id in line, 3)
        seen = eventually(arrives, 20, "the quarantined mail")
    assert {json.loads(line)["kind"] for line in seen} == {"quarantined"}


def test_only_monitors_may_subscribe_and_only_while_they_are_members(gateway):
    made = create(gateway, "leaver")
    stranger = gateway.home / "stranger.key"
    gateway.command("keygen", str(stranger))
    with subscriber(gateway, made) as lines, \
            subscriber(gateway, {**made, "key_file": stranger}) as strangers, \
            subscriber(gateway, {**made, "key_file": gateway.home / "worker/keys/node.key"}) as workers:
        lines.until(lambda line: '"kind":"position"' in line)
        gateway.command("node", "remove", "leaver")
        def silent():
            with pytest.raises(AssertionError):
                lines.until(lambda line: False, 3)
            return True
        eventually(silent, 10, "the stream to end for a key that was revoked")
        assert strangers.lines.empty() and workers.lines.empty()
    with pytest.raises(CommandFailed):
        gateway.command("node", "add", "again", (gateway.home / "leaver.key").read_text().split()[0],
                        "--role", "monitor")


def test_a_name_that_is_taken_leaves_no_key_behind(gateway):
    with pytest.raises(CommandFailed):
        create(gateway, "worker-1")
    assert not (gateway.home / "worker-1.key").exists()


# --- /api/v1/events
@contextlib.contextmanager
def sent_events(gateway, path="/events", **headers):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(gateway.home / "run/master/api.sock"))
        lines = [f"GET /api/v1{path} HTTP/1.1", "Host: postern", "Accept: text/event-stream",
                 *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()), "", ""]
        connection.sendall("\r\n".join(lines).encode())
        yield Lines(connection.makefile("rb"))


def test_server_sent_events_go_on_where_a_client_was(gateway):
    first, second = fresh_mail(), fresh_mail()
    with sent_events(gateway) as lines:
        assert "200" in lines.until(lambda line: line.startswith("HTTP/1.1"))[-1]
        lines.until(lambda line: line.lower().startswith("content-type: text/event-stream"))
        send_mail(gateway.port, first)
        seen = lines.until(lambda line: first.message_id in line)
    place = next(line for line in reversed(seen) if line.startswith("id: "))[4:]
    assert "event: done" in seen
    send_mail(gateway.port, second)
    with sent_events(gateway, Last_Event_ID=place) as lines:
        again = lines.until(lambda line: second.message_id in line)
    assert not any(first.message_id in line for line in again)
    numbers = [int(line[4:]) for line in again if line.startswith("id: ")]
    assert numbers == list(range(int(place) + 1, int(place) + 1 + len(numbers)))


def test_a_filter_leaves_the_rest_out(gateway):
    with program(BUILD / "bin/postern", "events", "--follow", "--json", "--filter",
                 "kind=quarantined,node=worker-1,recipient=@example.org", "--run", gateway.home / "run/master") as lines:
        def arrives():
            mail = fresh_mail(kind="spam")
            send_mail(gateway.port, fresh_mail())
            send_mail(gateway.port, mail)
            with contextlib.suppress(AssertionError):
                return lines.until(lambda line: mail.message_id in line, 3)
        seen = eventually(arrives, 20, "the quarantined mail")
    assert {json.loads(line)["kind"] for line in seen} == {"quarantined"}
    mail = fresh_mail(sender=b"nobody-else@client.example")
    send_mail(gateway.port, mail)
    def found():
        rows = gateway.command("events", "--after", "0", "--filter", "sender=nobody-else@client.example", "--json")
        return [json.loads(row)["message_id"] for row in rows.splitlines()]
    assert eventually(found, 10, "the event of that sender") == [mail.message_id]
    for wrong in ("colour=red", "kind", "kind="):
        with pytest.raises(CommandFailed):
            gateway.command("events", "--filter", wrong)
