# SPDX-License-Identifier: Apache-2.0
"""What the command line says to those who use it wrongly, and to those who use it well."""

import json
import os
import re
import subprocess
import time

import pytest

from tests.lib.gateway import BUILD, ROOT, Gateway
from tests.lib.messages import fresh_mail
from tests.lib.smtp import send_mail

# Arguments; exit code; what stands in the error output.
REFUSALS = [
    ((), 2, "usage: postern COMMAND"),
    (("nonsense",), 2, "there is no command nonsense"),
    (("help", "nonsense"), 2, "there is no command nonsense"),
    (("status", "now"), 2, "it takes no argument"),
    (("status", "--loud"), 2, "--loud: there is no such option"),
    (("status", "--run", "/nowhere"), 1, "is the master running?"),
    (("messages", "--limit"), 2, "--limit: it needs a value"),
    (("messages", "--limit", "many"), 1, "limit: give a whole number"),
    (("messages", "--since", "yesterday"), 1, "since: give a date"),
    (("messages", "--disposition", "eaten"), 1, "give one of: delivered"),
    (("messages", "xyz"), 1, "no message has the id xyz"),
    (("messages", "a", "b"), 2, "one ID at a time"),
    (("config",), 2, "usage: postern config get"),
    (("config", "eat"), 2, 'there is no "eat"'),
    (("config", "get", "stage"), 1, "stage: there is no such document"),
    (("config", "get", "stages", "cook"), 1, "stages.cook: it is not given"),
    (("config", "set", "stages"), 2, "set takes DOCUMENT and KEY=VALUE"),
    (("config", "set", "stages", "analyzer"), 1, "stages.analyzer: the value is missing"),
    (("config", "set", "stages", "analyzer=some"), 1, "stages.analyzer: this is a text; give a number from 0 to 64"),
    (("config", "set", "stages", "analyzer=65"), 1, "stages.analyzer: it is out of range"),
    (("config", "set", "stages", "cook=1"), 1, "stages.cook: a stages document has no such key; give one of: ingress"),
    (("config", "set", "cook", "x=1"), 1, "cook: there is no such kind of document; give one of: domain/NAME"),
    (("config", "set", "domain/new.example", "route=none"), 1, "there is no document route/none; make it first"),
    (("config", "unset", "cook"), 1, "cook: there is no such document"),
    (("config", "unset", "stages", "cook"), 1, "stages.cook: it is not given"),
    (("config", "unset", "route/sink"), 1, "domain/example.org.route: there is no document route/sink"),
    (("config", "apply"), 2, "apply takes one FILE"),
    (("config", "apply", "/nowhere/file"), 1, "/nowhere/file: No such file"),
    (("config", "diff", "999"), 1, "there is no such revision; see `postern config history`"),
    (("config", "rollback", "999"), 1, "there is no revision 999"),
    (("config", "rollback", "latest"), 1, "there is no revision latest"),
    (("config", "resolve", "ingress", "current"), 1, "ingress has no conflict"),
    (("quarantine", "show", "xyz"), 1, "no quarantined mail has the id xyz"),
    (("quarantine", "release", "xyz"), 1, "no quarantined mail has the id xyz"),
    (("quarantine", "delete"), 2, "delete takes at least one ID"),
    (("queue", "retry"), 2, "retry takes one ID, or --all"),
    (("queue", "hold", "xyz"), 1, "xyz is no id"),
    (("queue", "delete", "01M85TJ7V55RAH2FRY1D2B3RX3"), 1, ""),
    (("queue", "list", "--node", "nobody"), 1, "there is no node of that name"),
    (("node", "add", "w", "short"), 1, "key: give the 40 characters"),
    (("node", "add", "W!", "DkZ?&oehuM)OX!:5xQ2:8G/J?+0&)}]7uYKm3WlE"), 1, "name: give 1 to 63 of"),
    (("node", "remove", "nobody"), 1, "there is no node of that name"),
    (("keygen", "/nowhere/key"), 1, "/nowhere/key: No such file"),
]

# A file for `config apply`, and what is said of it.
FILES = [
    ("", "line 1, column"),
    ("[]", "line 1: this is no object"),
    ('{\n "stages": {"analyzer": 2,}\n}', "line 2, column"),
    ('{\n "stages": {},\n "stages": {}\n}', "line 3, column"),
    ('{"stages": []}', "stages: this is a list; give an object"),
    ('{"stages": {"analyzer": 2.5}}', "stages.analyzer: 2.5 is not whole"),
    ("[" * 100, "levels"),
]


@pytest.fixture(scope="module")
def gateway():
    """One for all: nothing here leaves a trace in its configuration."""
    with Gateway() as fresh:
        yield fresh


def run(gateway, *arguments, stdin=None):
    return subprocess.run([str(BUILD / "bin" / "postern"), *arguments], input=stdin, text=True, capture_output=True,
                          env=dict(os.environ, POSTERN_HOME=str(gateway.home)), timeout=30, check=False)


@pytest.mark.parametrize("arguments, code, said", REFUSALS, ids=lambda value: " ".join(value) if isinstance(
    value, tuple) else None)
def test_who_asks_wrongly_is_told_what_to_mend(gateway, arguments, code, said):
    done = run(gateway, *arguments)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


@pytest.mark.parametrize("text, said", FILES)
def test_a_bad_file_is_refused_with_its_place(gateway, tmp_path, text, said):
    before = run(gateway, "config", "export").stdout
    file = tmp_path / "documents.json"
    file.write_text(text)
    for done in (run(gateway, "config", "apply", str(file)), run(gateway, "config", "apply", "-", stdin=text)):
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert run(gateway, "config", "export").stdout == before


def commands(gateway):
    return [line.split()[0] for line in run(gateway, "help").stdout.splitlines() if line.startswith("    ")]


def test_every_command_tells_how_it_is_used(gateway):
    listed = commands(gateway)
    assert {"status", "messages", "events", "config", "quarantine", "queue", "node"} <= set(listed)
    for name in listed:
        helped = run(gateway, "help", name)
        assert helped.returncode == 0 and helped.stdout.startswith(f"usage: postern {name}")
        assert run(gateway, name, "--help").stdout == helped.stdout


def test_the_manual_page_names_every_command_and_option(gateway):
    page = (ROOT / "docs/man/postern.1").read_text().replace("\\-", "-")
    for name in commands(gateway):
        usage = run(gateway, "help", name).stdout
        words = re.findall(rf"--[a-z-]+|postern {name} [a-z]+", usage.replace("postern messages ID", ""))
        for word in set(words):
            assert word.removeprefix("postern ") in page, f"{name}: {word}"


def test_a_configuration_can_be_changed_compared_and_taken_back(gateway):
    def ask(*arguments):
        done = run(gateway, *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    exported = run(gateway, "config", "export").stdout
    before = ask("config", "history", "--limit", "1")[0]["revision"]
    after = ask("config", "set", "ingress", "hops_max=60", "description=x = y", "--comment", "more hops")["revision"]
    assert after != before and after.rpartition(".")[0] == before.rpartition(".")[0]  # one start of one master
    assert ask("config", "get", "ingress", "hops_max") == 60
    newest = ask("config", "history")[0]
    assert newest["revision"] == after and newest["comment"] == "more hops" and newest["documents"] == ["ingress"]
    assert ask("config", "diff", before, after)[0]["after"]["description"] == "x = y"
    ask("config", "rollback", before)
    assert run(gateway, "config", "export").stdout == exported
    assert list(json.loads(exported)) == sorted(json.loads(exported))


def test_events_can_be_followed_while_they_happen(gateway):
    command = [str(BUILD / "bin" / "postern"), "events", "--follow", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                          env=dict(os.environ, POSTERN_HOME=str(gateway.home))) as follower:
        time.sleep(0.5)
        mail = fresh_mail()
        send_mail(gateway.port, mail)
        lines = (json.loads(line) for line in follower.stdout)
        found = next(line for line in lines if line["message_id"].strip("<>") == mail.message_id.strip("<>"))
        follower.terminate()
    assert found["kind"] == "done" and found["node"] == "worker-1" and found["commit"] > 0


def test_a_timeline_shows_what_the_far_end_said(gateway):
    mail = fresh_mail()
    send_mail(gateway.port, mail)
    row = gateway.wait_disposition(mail, "delivered")
    shown = gateway.ask("messages", row["id"])
    assert shown["timeline"][-1]["kind"] == "done"
    assert shown["timeline"][-1]["recipients"][0]["reply"].startswith("250 ")
    assert "said: 250 " in gateway.command("messages", row["id"])
