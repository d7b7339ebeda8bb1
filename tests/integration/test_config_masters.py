# SPDX-License-Identifier: Apache-2.0
"""Two masters that both take changes, also while they do not hear of each other."""

import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import threading
import time

import pytest

from tests.lib.masters import Masters
from tests.lib.waiting import eventually


@pytest.fixture(scope="module", name="cluster")
def fixture_cluster():
    with Masters() as masters:
        yield masters


class Socket(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("postern", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def post(connection, path, value):
    connection.request("POST", f"/api/v1{path}", json.dumps(value))
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


@contextlib.contextmanager
def only(cluster, name):
    """Nobody else runs: what is written there meanwhile nobody can hear of. May be nested."""
    others = [other for other in "abw" if other != name]
    for other in others:
        cluster.signal(other, signal.SIGSTOP)
    cluster.signal(name, signal.SIGCONT)
    try:
        yield
    finally:
        for other in "abw":
            cluster.signal(other, signal.SIGCONT)


def test_a_change_is_saved_on_both_masters_and_runs_on_the_worker(cluster):
    said = cluster.ask("a", "config", "set", "ingress", "hops_max=61")
    assert said["replicated"] is True
    assert cluster.documents("b")["ingress"] == {"hops_max": 61}
    cluster.wait_alike()
    newest = cluster.ask("b", "config", "history", "--limit", "1")[0]
    assert newest["revision"] == said["revision"] and newest["revision"].startswith("a.")
    assert "unreplicated" not in newest
    revisions = {node["name"]: node["revision"] for node in cluster.ask("b", "node", "list")}
    assert revisions["w"] == revisions["b"] == said["revision"]


def test_18_what_both_wrote_while_apart_converges_and_is_listed_on_both(cluster):
    cluster.run("a", "config", "apply", write(cluster, {"domain/x.org": {}, "list/l": {"entries": ["@one.org"]}}))
    cluster.wait_alike()
    with only(cluster, "a"):
        said = cluster.run("a", "config", "set", "domain/x.org", "description=of a")
        assert "unreplicated" in said
        cluster.run("a", "config", "set", "list/l", "entries=@one.org,@two.org")
        assert cluster.ask("a", "config", "history", "--limit", "1")[0]["unreplicated"] is True
        assert cluster.status("a")["config"]["unreplicated"] >= 2
        with only(cluster, "b"):
            cluster.run("b", "config", "set", "domain/x.org", "description=of b")
            cluster.run("b", "config", "set", "list/l", "entries=@three.org")
    begun = time.monotonic()
    cluster.wait_alike(10)
    print(f"converged after {time.monotonic() - begun:.1f} s")
    assert cluster.documents("a")["list/l"]["entries"] == ["@three.org", "@two.org"]
    conflicts = [cluster.ask(master, "config", "conflicts") for master in "ab"]
    assert conflicts[0] == conflicts[1]
    row = next(row for row in conflicts[0] if row["document"] == "domain/x.org")
    assert row["in_force"]["body"] == {"description": "of b"}
    assert [other["body"] for other in row["others"]] == [{"description": "of a"}]
    cluster.run("b", "config", "resolve", "domain/x.org", row["others"][0]["version"])
    cluster.wait_alike()
    assert cluster.documents("a")["domain/x.org"] == {"description": "of a"}
    assert cluster.ask("a", "config", "conflicts") == [] == cluster.ask("b", "config", "conflicts")


def write(cluster, documents):
    file = cluster.home / "documents.json"
    file.write_text(json.dumps(documents))
    return str(file)


def test_a_stale_edit_is_refused_with_what_changed(cluster):
    connection = Socket(cluster.home / "a/run/api.sock")
    cluster.run("a", "config", "set", "relay", "description=first")
    old = cluster.ask("a", "config", "history", "--limit", "1")[0]["revision"]
    cluster.run("a", "config", "set", "relay", "description=second")
    edit = {"documents": {"relay": {"description": "third"}}, "bases": {"relay": old}}
    status, answer = post(connection, "/config/apply", edit)
    assert status == 409 and "relay: it is at version" in answer["error"]
    assert answer["stale"][0]["body"] == {"description": "second"}
    edit["bases"]["relay"] = answer["stale"][0]["version"]
    assert post(connection, "/config/apply", edit)[0] == 200


def test_a_revision_that_would_break_the_merged_tree_is_held_whole(cluster):
    cluster.run("a", "config", "apply", write(cluster, {"route/r": {"hops": ["mx.r.org"]}}))
    cluster.wait_alike()
    with only(cluster, "a"):
        cluster.run("a", "config", "unset", "route/r")
        with only(cluster, "b"):
            cluster.run("b", "config", "apply", write(cluster, {
                "domain/r.org": {"route": "r"}, "list/l": {"entries": ["@four.org"]}}))
    cluster.wait_alike()
    for master in "ab":
        documents = cluster.documents(master)
        assert "route/r" not in documents and "domain/r.org" not in documents
        assert documents["list/l"]["entries"] == ["@four.org"]
        row = next(row for row in cluster.ask(master, "config", "conflicts") if row["document"] == "domain/r.org")
        assert "there is no document route/r" in row["others"][0]["held"]
    cluster.run("a", "config", "apply", write(cluster, {"route/r": {"hops": ["mx2.r.org"]}}))
    cluster.wait_alike()
    assert cluster.documents("b")["domain/r.org"] == {"route": "r"}
    assert "domain/r.org" not in {row["document"] for row in cluster.ask("a", "config", "conflicts")}


def test_30_of_a_thousand_concurrent_edits_none_is_lost(cluster):
    """Each names the version that it read: it is in force, or refused, or listed, or overwritten by who saw it."""
    each, saved = 500, {"a": [], "b": []}

    def edit(master):
        connection = Socket(cluster.home / f"{master}/run/api.sock")
        for number in range(each):
            own = f"domain/{master}{number}.org"
            documents = {own: {"description": master}} if number % 2 else {
                "domain/shared.org": {"description": f"{master}{number}"}}
            status, answer = post(connection, "/config/apply", {"documents": documents})
            assert status == 200, answer
            saved[master].append((answer["revision"], documents))
    editors = [threading.Thread(target=edit, args=(master,)) for master in "ab"]
    begun = time.monotonic()
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join()
    print(f"{2 * each} edits in {time.monotonic() - begun:.1f} s")
    assert len(saved["a"]) == len(saved["b"]) == each
    cluster.wait_alike(20)
    assert cluster.documents("a") == cluster.documents("b")
    conflicts = [cluster.ask(master, "config", "conflicts") for master in "ab"]
    assert conflicts[0] == conflicts[1]
    history = {row["revision"] for row in cluster.ask("a", "config", "history", "--limit", "0")}
    documents = cluster.documents("b")
    for master in "ab":
        for revision, changed in saved[master]:
            assert revision in history
            (name, body), = changed.items()
            assert name == "domain/shared.org" or documents[name] == body
    if conflicts[0]:
        cluster.run("a", "config", "resolve", "domain/shared.org", "current")
        cluster.wait_alike()
        assert not [row for master in "ab" for row in cluster.ask(master, "config", "conflicts")]


def test_a_master_put_back_from_an_old_copy_is_complete_again(cluster):
    cluster.signal("a", signal.SIGTERM)
    database = cluster.home / "a/state/master/cluster.db"
    with sqlite3.connect(database) as db:  # what it made last is gone from its disk
        gone = db.execute("SELECT count(*) FROM config_revisions").fetchone()[0] // 2
        db.execute("DELETE FROM config_revisions WHERE name IN (SELECT name FROM config_revisions"
                   " ORDER BY name DESC LIMIT ?)", (gone,))
    before = cluster.status("b")["config"]["tree"]
    cluster.signal("b", signal.SIGSTOP)  # only the worker can give it back
    try:
        cluster.launch("a")
        eventually(lambda: cluster.answers("a"), 20, "master a to answer")
    finally:
        cluster.signal("b", signal.SIGCONT)
    eventually(lambda: cluster.status("a")["config"]["tree"] == before
               or cluster.ask("a", "config", "history", "--limit", "1")[0]["comment"] == "a enters itself", 30,
               "master a to be complete")
    cluster.wait_alike(20)
    assert cluster.documents("a") == cluster.documents("b")


def test_secrets_are_exported_as_fingerprints_and_never_logged(cluster):
    word = "Cs7-not-to-be-seen-" + os.urandom(4).hex()
    cluster.run("a", "config", "set", "secret/redis", f"value={word}")
    exported = cluster.run("b", "config", "export")
    assert word not in exported and "sha256:" in exported
    assert cluster.run("b", "config", "apply", write(cluster, {"secret/redis": json.loads(exported)["secret/redis"]}))
    for words in (("config", "history", "--json"), ("config", "diff"), ("config", "conflicts"), ("status", "--json")):
        assert word not in cluster.run("a", *words)
    for name in ("a", "b", "w"):
        assert word not in (cluster.home / f"{name}.log").read_text(errors="replace")
    with sqlite3.connect(f"file:{cluster.home}/a/state/master/cluster.db?mode=ro", uri=True) as db:
        assert any(word.encode() in packed for (packed,) in db.execute("SELECT packed FROM config_revisions"))
