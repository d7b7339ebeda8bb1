# SPDX-License-Identifier: Apache-2.0
"""`postern analyze`: the engine on one file, without any server."""

import json
import subprocess

import pytest

from tests.lib.gateway import BUILD
from tests.lib.messages import EICAR, GTUBE

HEAD = b"From: Ann <ann@client.example>\nDate: x\nSubject: =?utf-8?q?gr=C3=BCn?=\nMessage-ID: <1@x>\n"


def run(*arguments, stdin=b""):
    return subprocess.run([str(BUILD / "bin" / "postern"), "analyze", *arguments], input=stdin, capture_output=True,
                          timeout=30, check=False)


def analyze(path, *arguments):
    done = run(str(path), "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def message(tmp_path):
    def write(content, name="mail.eml"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name
    return write


def test_a_clean_file_with_unix_line_ends_is_accepted(message):
    verdict = analyze(message(HEAD + b"\nhello\n"), "--from", "ann@client.example", "--rcpt", "u@example.org",
                      "--rcpt", "v@example.org", "--client-ip", "192.0.2.1", "--helo", "client.example")
    assert verdict["verdict"] == "accept" and not verdict["findings"] and not verdict["anomalies"]
    assert [one["verdict"] for one in verdict["recipients"]] == ["accept", "accept"]
    assert [one["address"] for one in verdict["recipients"]] == ["u@example.org", "v@example.org"]
    assert verdict["message_id"] == "<1@x>" and verdict["subject"] == "grün"
    assert verdict["from"] == "ann@client.example" and verdict["checks"] >= 6
    assert verdict["size"] == len(HEAD + b"\nhello\n") + 6


@pytest.mark.parametrize("body, finding", [(GTUBE, "gtube"), (EICAR, "eicar")])
def test_markers_are_found(message, body, finding):
    verdict = analyze(message(HEAD + b"\n" + body + b"\n"))
    found = {one["name"]: one for one in verdict["findings"]}
    assert verdict["verdict"] == "reject" and verdict["decisive"] == finding
    assert found[finding]["sentence"] and "score" in found[finding] and "evidence" in found[finding]


def test_the_settings_of_a_file_rule(message, tmp_path):
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"revision": "9", "documents": {
        "domain/a.example": {"policy": "lax"},
        "policy/lax": {"tag": 5, "quarantine": None, "reject": None},
        "list/bad": {"kind": "block", "of": "client", "entries": ["192.0.2.0/24"]}}}))
    spam = message(HEAD + b"\n" + GTUBE + b"\n")
    options = ("--settings", str(settings), "--rcpt", "u@a.example", "--rcpt", "u@b.example")
    assert [one["verdict"] for one in analyze(spam, *options)["recipients"]] == ["tag", "reject"]
    verdict = analyze(message(HEAD + b"\n"), "--client-ip", "192.0.2.5", *options)
    assert verdict["decisive"] == "client-blocked"


def test_text_is_for_people(message):
    done = run(str(message(HEAD + b"\n" + GTUBE + b"\n")))
    assert done.returncode == 0
    assert done.stdout.startswith(b"verdict     reject") and "grün".encode() in done.stdout


def test_a_mailbox_line_in_front_is_skipped(message):
    assert not analyze(message(b"From ann@client.example Mon Jan 12 10:00:00 2026\n" + HEAD + b"\nx\n"))["anomalies"]


def test_standard_input_is_a_dash():
    done = run("-", "--json", stdin=HEAD + b"\nhello\n")
    assert json.loads(done.stdout)["verdict"] == "accept"


def test_misuse_and_missing_files_are_told(tmp_path, message):
    assert run(str(tmp_path / "none.eml"), "--json").returncode == 1
    assert b"none.eml" in run(str(tmp_path / "none.eml")).stderr
    assert run().returncode == 2
    assert run(str(message(HEAD)), "--wrong").returncode == 2
    assert run(str(message(HEAD)), "--settings", str(tmp_path / "none.json")).returncode == 1


def test_bytes_that_are_no_text_are_still_json(message):
    verdict = analyze(message(b"From: \xff\xfe@b\nSubject: \xe4\x00\x1b[31m\nDate: x\n\nx\n"), "--rcpt", "\udcff@x")
    assert verdict["verdict"] in ("accept", "quarantine")
