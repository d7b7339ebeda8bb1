# SPDX-License-Identifier: Apache-2.0
"""Quarantined mail on a cluster, as both masters tell of it."""

from tests.lib.messages import fresh_mail
from tests.lib.smtp import send_mail
from tests.lib.waiting import eventually

HOLD = {"policy/default": {"reject": None, "on_virus": "quarantine"}}


def socket(process):
    return ("--socket", str(process.home / "run/api.sock"))


def row_on(master, mail):
    rows = [row for row in master.ask("quarantine", "list", "--limit", "0")
            if row["message_id"].strip("<>") == mail.message_id.strip("<>")]
    return rows[0] if rows else None


def quarantined(cluster):
    """A mail of the first worker that both masters have, body and all, and its row."""
    mail = fresh_mail("virus")
    assert send_mail(cluster.workers[0].port, mail)[0] == 250
    for master in cluster.masters:
        row = eventually(lambda master=master: row_on(master, mail), 20, f"{master.name} to list it", pause=0.1)
    for master in cluster.masters:
        eventually(lambda master=master: master.ask("status")["bodies"]["waiting"] == 0, 20, "the body", pause=0.1)
    return mail, row
