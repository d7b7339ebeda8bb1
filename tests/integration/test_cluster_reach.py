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


def test_a_returning_master_takes_50000_events_while_1000_a_second_are_live(cluster):
    """By its processor time 10,000 a second, so that what else the machine does does not decide; by the clock a tenth of
    that. The lag that may not suffer is the other master's: on this one each worker's events come in their order."""
    result = reach.catch_up(cluster, events=50000, rate=1000)
    print(result)
    assert result["events"] >= 50000
    assert result["events"] / result["processor_s"] >= 10000 and result["events_per_s"] >= 1000
    assert result["stays"]["p99_s"] <= 2
    assert result["returns"]["max_s"] <= result["seconds"] + 2


def test_both_masters_restarted_at_once_have_all_workers_back_within_30_s(cluster):
    result = reach.restart_of_both(cluster)
    print(result)
    assert result["back_s"] <= 30


def test_a_revoked_worker_is_cut_off_within_5_s():
    with reach.Straight(workers=3, documents=reach.DOCUMENTS) as cluster:
        result = reach.revocation(cluster)
    print(result)
    assert result["load"]["mails"] > 100 and result["cut_s"] <= 5
