# SPDX-License-Identifier: Apache-2.0
"""What a cluster must reach, yes or no: two masters, three workers. bench/cluster.sh measures the same at length."""

import pytest

from tests.lib import reach


@pytest.fixture(scope="module", name="cluster")
def fixture_cluster():
    with reach.Straight(workers=3, documents=reach.DOCUMENTS) as fresh:
        yield fresh


def test_an_event_is_committed_on_both_masters_within_2_s_at_200_mails_a_second(cluster):
    result = reach.live(cluster, rate=200, seconds=5)
    print(result)
    assert result["both"]["count"] >= 1000 and result["both"]["p99_s"] <= 2


def test_a_quarantined_body_is_on_both_masters_within_5_s(cluster):
    result = reach.bodies(cluster, rate=20, count=60)
    print(result)
    assert result["both"]["count"] == 60 and result["both"]["p99_s"] <= 5


def test_a_change_is_on_three_workers_within_3_s(cluster):
    result = reach.configuration(cluster, changes=30)
    print(result)
    assert result["count"] == 30 and result["p99_s"] <= 3


def test_both_masters_restarted_at_once_have_all_workers_back_within_30_s(cluster):
    result = reach.restart_of_both(cluster)
    print(result)
    assert result["back_s"] <= 30


def test_a_revoked_worker_is_cut_off_within_5_s():
    with reach.Straight(workers=3, documents=reach.DOCUMENTS) as cluster:
        result = reach.revocation(cluster)
    print(result)
    assert result["load"]["mails"] > 100 and result["cut_s"] <= 5
