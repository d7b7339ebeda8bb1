# SPDX-License-Identifier: Apache-2.0
"""Nodes join by token, and nobody else gets in (DESIGN 9; attacks 30, 36)."""

import base64
import re
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib.daemons import pids_of
from tests.lib.gateway import BUILD, CommandFailed, Gateway
from tests.lib.messages import fresh_mail
from tests.lib.smtp import send_mail
from tests.lib.waiting import eventually, free_ports


@pytest.fixture(scope="module")
def cluster():
    with Gateway() as gateway:
        yield gateway


def token_of(cluster, *arguments):
    return cluster.command("token", "create", *arguments).splitlines()[-1]


def new_machine(cluster, name):
    """The folder of a machine that was never a node."""
    home = cluster.home / name
    home.mkdir()
    return home


def join(home, token, *arguments, seconds=60, stdin=None):
    """Runs `postern join` there: (exit code, what it said)."""
    done = subprocess.run(
        [str(BUILD / "bin/postern"), "join", token, "--config", str(home / "node.conf"),
         "--state", str(home / "state"), "--run", str(home / "run"), *arguments],
        text=True, capture_output=True, timeout=seconds, check=False, input=stdin)
    return done.returncode, done.stdout + done.stderr


def members(cluster):
    return {row["name"]: row for row in cluster.ask("node", "list")}


def port_of(cluster):
    return cluster.enrol_port


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Node:
    """A worker of its own that joins by itself."""

    def __init__(self, cluster, name, token, number=0):
        self.home = cluster.home / name
        self.home.mkdir(exist_ok=True)
        self.smtp, metrics = free_ports(2)
        self.log = open(self.home / "node.log", "ab")
        config = self.home / "node.conf"
        if not config.exists():
            config.write_text(f"metrics = 127.0.0.1:{metrics}\nhostname = {name}.example.org\n")
        self.process = subprocess.Popen(
            [str(BUILD / "bin/postern-node"), "--join", token, "--name", name, "--smtp", f"127.0.0.1:{self.smtp}",
             "--config", str(config), "--state", str(self.home / "state"), "--run", str(self.home / "r")],
            stdout=self.log, stderr=self.log)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def said(self):
        return (self.home / "node.log").read_text()


def test_a_machine_joins_with_one_token_and_takes_mail(cluster):
    node = Node(cluster, "mx2", token_of(cluster))
    try:
        eventually(lambda: members(cluster).get("mx2", {}).get("state") == "up", 20, "the new worker to be up")
        mail = fresh_mail()
        eventually(lambda: send_mail(node.smtp, mail)[0] == 250, 20, "the new worker to take mail", pause=0.5)
        row = cluster.wait_disposition(mail, "delivered")
        assert row["node"] == "mx2"
        # Started again with the token that is used up long since, it is who it was.
        node.stop()
        again = Node(cluster, "mx2", token_of(cluster))
        eventually(lambda: "the token is not used" in again.said(), 10, "it to say that it has joined")
        eventually(lambda: members(cluster)["mx2"]["state"] == "up", 30, "it to be up again")
        again.stop()
        assert "mx2-2" not in members(cluster)
    finally:
        node.process.kill()


def test_people_join_by_hand_from_standard_input_or_a_file(cluster):
    home = new_machine(cluster, "by-hand")
    code, said = join(home, "-", "--name", "By Hand", stdin=token_of(cluster) + "\n")
    assert code == 0 and "joined as worker by-hand" in said and "postern-node" in said
    assert oct((home / "state/keys/node.key").stat().st_mode)[-3:] == "600"
    code, said = join(home, "-", stdin=token_of(cluster))
    assert code == 1 and "has joined as by-hand already" in said
    file = cluster.home / "token"
    file.write_text(token_of(cluster) + "\n")
    code, said = join(new_machine(cluster, "by-file"), f"@{file}", "--name", "by-hand")
    assert code == 0 and "joined as worker by-hand-2" in said
    assert members(cluster)["by-hand"]["state"] == "joining"


def test_a_token_is_good_for_one_node(cluster):
    token = token_of(cluster)
    assert join(new_machine(cluster, "first"), token)[0] == 0
    code, said = join(new_machine(cluster, "second"), token)
    assert code == 1 and "used by another node" in said
    token_of(cluster)  # another one keeps the port open: the same no is heard later, too
    code, said = join(cluster.home / "second", token)
    assert code == 1 and "used by another node" in said


def test_of_many_who_show_one_token_at_once_one_gets_in(cluster):
    token = token_of(cluster, "--name", "race")
    homes = [new_machine(cluster, f"racer-{i}") for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        codes = [code for code, _ in pool.map(lambda home: join(home, token), homes)]
    assert sorted(codes) == [0] + [1] * 7
    assert len([name for name in members(cluster) if name.startswith("race")]) == 1


def test_the_same_key_may_ask_again(cluster):
    token = token_of(cluster)
    home = new_machine(cluster, "twice")
    assert join(home, token, "--name", "twice")[0] == 0
    (home / "node.conf").unlink()  # the answer was lost, as far as this machine knows
    code, said = join(home, token, "--name", "twice")
    assert code == 0 and "joined as worker twice." in said


def test_a_lost_answer_is_learnt_at_the_other_door(cluster):
    """The token's port is closed for long, and the token is of a master's life before."""
    token = token_of(cluster)
    home = new_machine(cluster, "stranded")
    assert join(home, token, "--name", "stranded")[0] == 0
    (home / "node.conf").unlink()
    cluster.kill("master", number=signal.SIGKILL)
    eventually(cluster.master_answers, 20, "the master to answer")
    assert not is_open(port_of(cluster))
    code, said = join(home, token, "--name", "stranded")
    assert code == 0 and "joined as worker stranded." in said


def spoil(token, change):
    packed = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    change(packed)
    return base64.urlsafe_b64encode(bytes(packed)).decode().rstrip("=")


def change_secret(packed):
    at = packed.index(b"\x22\x14") + 2  # field 4, 20 bytes
    packed[at] ^= 1


def change_id(packed):
    at = packed.index(b"\x1a\x08") + 2  # field 3, 8 bytes
    packed[at] ^= 1


@pytest.mark.parametrize("change", [change_secret, change_id])
def test_a_forged_token_is_refused(cluster, change):
    token = token_of(cluster)
    before = members(cluster)
    code, said = join(new_machine(cluster, f"forger-{change.__name__}"), spoil(token, change))
    assert code == 1 and "wrong, used up or expired" in said
    assert members(cluster).keys() == before.keys()
    assert join(new_machine(cluster, f"honest-{change.__name__}"), token)[0] == 0  # the true one is still good


def test_what_is_no_token_is_said_so(cluster):
    for index, text in enumerate(["x", "", "CgFj", "../../etc/passwd", "A" * 5000, token_of(cluster)[:-9]]):
        code, said = join(new_machine(cluster, f"junk-{index}"), text)
        assert code == 1 and "this is no token" in said
    code, said = join(new_machine(cluster, "junk-file"), "@/nonexistent")
    assert code == 1 and "No such file" in said


def test_five_wrong_secrets_burn_a_token(cluster):
    token = token_of(cluster)
    for index in range(5):
        assert join(new_machine(cluster, f"guesser-{index}"), spoil(token, change_secret))[0] == 1
    token_of(cluster)
    code, said = join(new_machine(cluster, "too-late"), token)
    assert code == 1 and "wrong, used up or expired" in said


def test_an_expired_token_is_refused(cluster):
    token = token_of(cluster, "--expires", "1s")
    time.sleep(1.1)  # the one thing here that is about time
    token_of(cluster)
    code, said = join(new_machine(cluster, "late"), token)
    assert code == 1 and "expired" in said
    for bad in ("0", "x", "1w", "-1", "31d"):
        with pytest.raises(CommandFailed):
            cluster.command("token", "create", f"--expires={bad}")


def test_a_token_of_a_worker_makes_no_master(cluster):
    home = new_machine(cluster, "climber")
    done = subprocess.run([str(BUILD / "bin/postern-master"), "--join", token_of(cluster), "--config",
                           str(home / "node.conf"), "--state", str(home / "state"), "--run", str(home / "r")],
                          text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and "this token is for a worker" in done.stderr


def test_a_daemon_that_is_refused_exits_with_the_reason(cluster):
    home = new_machine(cluster, "refused")
    done = subprocess.run([str(BUILD / "bin/postern-node"), "--join", spoil(token_of(cluster), change_secret),
                           "--config", str(home / "node.conf"), "--state", str(home / "state"),
                           "--run", str(home / "r")], text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and "not joined: the token is wrong" in done.stderr
    assert not (home / "node.conf").exists()


def test_a_removed_node_stays_out(cluster):
    home = new_machine(cluster, "gone")
    assert join(home, token_of(cluster), "--name", "gone")[0] == 0
    cluster.command("node", "remove", "gone")
    (home / "node.conf").unlink()
    code, said = join(home, token_of(cluster), "--name", "gone")
    assert code == 1 and "key was revoked" in said
    assert "gone" not in members(cluster)


def test_the_port_is_open_only_while_a_token_lives():
    with Gateway() as gateway:
        assert not is_open(port_of(gateway))
        token = token_of(gateway)
        assert is_open(port_of(gateway))
        assert join(new_machine(gateway, "only"), token)[0] == 0
        eventually(lambda: not is_open(port_of(gateway)), 20, "the port to close")
        code, said = join(new_machine(gateway, "other"), token)
        assert code == 1 and "no master answers" in said


def test_many_tries_from_one_address_are_throttled(cluster):
    """10,000 tries would take hours: ten at once, then one each second."""
    token_of(cluster)
    forged = spoil(token_of(cluster), change_id)

    def refused():
        text = cluster.metrics("master")
        found = re.search(r"^postern_joins_refused_total (\d+)", text, re.M)
        return int(found.group(1)) if found else 0

    before, begun = refused(), time.monotonic()
    homes = [new_machine(cluster, f"flood-{i}") for i in range(24)]
    with ThreadPoolExecutor(24) as pool:
        codes = [code for code, _ in pool.map(lambda home: join(home, forged), homes)]
    seconds = time.monotonic() - begun
    assert set(codes) == {1}
    assert refused() - before <= 10 + seconds + 1
    assert "postern_joins_throttled_total" in cluster.metrics("master")
    mail = fresh_mail()
    assert send_mail(cluster.port, mail)[0] == 250
    cluster.wait_disposition(mail, "delivered")


class Master:
    """A second master that joins the first by itself."""

    def __init__(self, cluster, name, token):
        self.home = cluster.home / name
        self.home.mkdir(exist_ok=True)
        self.ports = free_ports(6)
        kinds = ("control", "publish", "events", "public", "enrol")
        if not (self.home / "node.conf").exists():
            (self.home / "node.conf").write_text("\n".join(
                ["role = master", f"metrics = 127.0.0.1:{self.ports[5]}", "bind",
                 *(f"    {kind} = tcp://127.0.0.1:{port}" for kind, port in zip(kinds, self.ports)), ""]))
        self.log = open(self.home / "master.log", "ab")
        self.process = subprocess.Popen(
            [str(BUILD / "bin/postern-master"), "--join", token, "--name", name,
             "--config", str(self.home / "node.conf"), "--state", str(self.home / "state"),
             "--run", str(self.home / "r")], stdout=self.log, stderr=self.log)

    def command(self, *arguments):
        done = subprocess.run([str(BUILD / "bin/postern"), *arguments, "--run", str(self.home / "r")], text=True,
                              capture_output=True, timeout=30, check=False)
        return done.stdout if done.returncode == 0 else ""

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def masters_of_worker(cluster, name="worker-1"):
    """The masters that the worker serves, by its own word."""
    return set(cluster.ask("status")["workers"][name]["lag_events"])


def test_a_second_master_joins_and_running_workers_serve_it_until_it_is_removed():
    with Gateway() as gateway:
        assert masters_of_worker(gateway) == {"master-a"}
        second = Master(gateway, "master-b", token_of(gateway, "--role", "master"))
        try:
            eventually(lambda: members(gateway).get("master-b", {}).get("state") == "up", 20, "the second to be up")
            eventually(lambda: '"connected": true' in second.command("status", "--json"), 20, "them to be connected")
            eventually(lambda: masters_of_worker(gateway) == {"master-a", "master-b"}, 20, "the worker to serve both")
            third = new_machine(gateway, "third")
            (third / "node.conf").write_text("role = master\n")
            code, said = join(third, token_of(gateway, "--role", "master"), "--name", "master-c")
            assert code == 1 and "has two masters" in said
        finally:
            second.stop()
        gateway.command("node", "remove", "master-b")
        eventually(lambda: masters_of_worker(gateway) == {"master-a"}, 20, "the worker to wait for it no more")
        mail = fresh_mail()
        assert send_mail(gateway.port, mail)[0] == 250
        gateway.wait_disposition(mail, "delivered")


def greeting(port):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.settimeout(5)
        return connection.recv(200).decode()


def state_of(cluster, name):
    return members(cluster)[name]["state"]


def test_a_workers_own_document_sets_its_number_of_analyzers(cluster):
    node = Node(cluster, "small", token_of(cluster))
    others = cluster.home / "small"
    try:
        def counts():
            all_of_them, there = cluster.pids("analyzer"), pids_of(others, "analyzer")
            return len(set(all_of_them) - set(there)), len(there)
        everywhere = cluster.ask("config", "get", "stages")["analyzer"]
        eventually(lambda: counts() == (everywhere, everywhere), 20, "the analyzers of both workers")
        there = pids_of(others, "analyzer")
        cluster.command("config", "set", "node/worker-1", f"analyzer={everywhere + 1}")
        eventually(lambda: counts() == (everywhere + 1, everywhere), 10, "one more analyzer of that worker")
        cluster.command("config", "set", "node/worker-1", f"analyzer={everywhere}")
        eventually(lambda: counts() == (everywhere, everywhere), 10, "as many as everywhere again")
        assert pids_of(others, "analyzer") == there
    finally:
        node.stop()


def test_a_drained_worker_takes_no_mail_until_it_is_undrained(cluster):
    mail = fresh_mail()
    assert send_mail(cluster.port, mail)[0] == 250
    cluster.command("node", "drain", "worker-1")
    eventually(lambda: greeting(cluster.port).startswith("421 4.3.2"), 10, "the worker to answer 421")
    eventually(lambda: state_of(cluster, "worker-1") == "maintenance", 20, "its queue to be empty")
    cluster.wait_disposition(mail, "delivered")
    cluster.command("node", "undrain", "worker-1")
    eventually(lambda: greeting(cluster.port).startswith("220"), 10, "the worker to take mail again")
    eventually(lambda: state_of(cluster, "worker-1") == "up", 10, "it to be up")


def test_a_renamed_worker_goes_on_and_loses_no_event(cluster):
    node = Node(cluster, "old-name", token_of(cluster))
    try:
        eventually(lambda: members(cluster).get("old-name", {}).get("state") == "up", 20, "the worker to be up")
        before, after = fresh_mail(), fresh_mail()
        eventually(lambda: send_mail(node.smtp, before)[0] == 250, 20, "it to take mail", pause=0.5)
        cluster.wait_disposition(before, "delivered")
        cluster.command("node", "rename", "old-name", "new-name")
        assert send_mail(node.smtp, after)[0] == 250
        cluster.wait_disposition(after, "delivered")
        assert "old-name" not in members(cluster) and members(cluster)["new-name"]["lag_events"] == 0
        assert len(cluster.messages("--message-id", before.message_id)) == 1
        with pytest.raises(CommandFailed, match="had that name"):
            cluster.command("node", "rename", "new-name", "worker-1")
        cluster.kill("master", number=signal.SIGKILL)
        eventually(cluster.master_answers, 20, "the master to answer")
        eventually(lambda: members(cluster)["new-name"]["state"] == "up", 30, "it to be up again")
        assert members(cluster)["new-name"]["lag_events"] == 0
    finally:
        node.process.kill()


def test_34_a_revoked_worker_is_cut_within_five_seconds_and_the_others_lose_nothing(cluster):
    node = Node(cluster, "stolen", token_of(cluster))
    try:
        eventually(lambda: members(cluster).get("stolen", {}).get("state") == "up", 20, "the worker to be up")
        spoken = "node.hello node=stolen"
        eventually(lambda: spoken in cluster.log("master"), 10, "its hello")
        begun = time.monotonic()
        cluster.command("node", "revoke", "stolen")
        eventually(lambda: state_of(cluster, "stolen") == "revoked", 5, "it to be revoked")
        assert time.monotonic() - begun < 5
        mail = fresh_mail()
        eventually(lambda: send_mail(node.smtp, mail)[0] == 250, 20, "it to take mail", pause=0.5)
        others = fresh_mail()
        assert send_mail(cluster.port, others)[0] == 250
        cluster.wait_disposition(others, "delivered")   # the others came back
        assert cluster.message(mail) is None            # it is heard no more
        with pytest.raises(CommandFailed, match="revoked"):
            cluster.command("node", "add", "stolen-2", members(cluster)["stolen"]["key"])
        with pytest.raises(CommandFailed, match="cannot be taken back"):
            cluster.command("config", "unset", "revoked/" + hex_of(members(cluster)["stolen"]["key"]))
    finally:
        node.process.kill()


def test_a_key_is_rotated_without_an_outage(cluster):
    before = members(cluster)["worker-1"]["key"]
    cluster.command("node", "rotate-key", "worker-1")
    after = members(cluster)["worker-1"]["key"]
    assert after != before
    file = cluster.home / "worker/keys/node.key"
    eventually(lambda: file.read_text().splitlines()[0] == after, 10, "the worker to take its new key")
    mail = fresh_mail()
    assert send_mail(cluster.port, mail)[0] == 250
    cluster.wait_disposition(mail, "delivered")
    assert cluster.ask("node", "show", "worker-1")["document"]["previous_key"] == before
    cluster.kill("node", number=signal.SIGKILL)     # it starts with the new one
    eventually(lambda: state_of(cluster, "worker-1") == "up", 20, "it to be up")
    with pytest.raises(CommandFailed, match="only a worker"):
        cluster.command("node", "rotate-key", "master-a")


def hex_of(key):
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    groups = [key[at:at + 5] for at in range(0, 40, 5)]
    values = [sum(letters.index(letter) * 85 ** (4 - place) for place, letter in enumerate(group)) for group in groups]
    return b"".join(value.to_bytes(4, "big") for value in values).hex()


def test_35_eight_workers_are_back_within_30_s_of_the_masters_restart():
    """All lose their sessions at once, and meet a master that has just started."""
    with Gateway() as gateway:
        tokens = [token_of(gateway) for _ in range(8)]
        nodes = [Node(gateway, f"mx{i}", token) for i, token in enumerate(tokens)]
        names = {"worker-1", *(f"mx{i}" for i in range(8))}

        def up():
            return {name for name, row in members(gateway).items() if row["state"] == "up"} >= names

        try:
            eventually(up, 60, "all workers to be up", pause=0.2)
            gateway.kill("master", number=signal.SIGKILL)
            begun = time.monotonic()
            eventually(gateway.master_answers, 20, "the master to answer")
            eventually(up, 30, "all workers to be back", pause=0.2)
            assert time.monotonic() - begun < 30
        finally:
            for node in nodes:
                node.process.terminate()
            for node in nodes:
                node.process.wait(30)
