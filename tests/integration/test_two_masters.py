# SPDX-License-Identifier: Apache-2.0
"""Two masters and their workers: whatever happens to one or to the ways between, both end with everything."""

import pytest

from tests.lib.cluster import Cluster


@pytest.fixture
def cluster():
    with Cluster() as fresh:
        yield fresh


def test_both_masters_hold_the_same_and_verify_says_so(cluster):
    a, b = cluster.masters
    idents = cluster.send(40)
    cluster.wait_known(idents)
    verdict = cluster.wait_equal()
    assert verdict["here"] == a.name and verdict["there"] == b.name and verdict["streams"] == 2
    assert verdict["differences"] == []
    said = a.command("verify", "--socket", str(a.home / "run/api.sock"))
    assert "hold the same" in said
    for master in cluster.masters:
        status = master.ask("status")
        assert status["replayed_share"] <= 0.01
        assert status["peer"]["connected"]
