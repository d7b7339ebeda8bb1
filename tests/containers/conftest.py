# SPDX-License-Identifier: Apache-2.0
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.lib.compose import Cluster, Stages, docker_works  # noqa: E402


def pytest_runtest_setup(item):
    del item
    if os.geteuid() != 0:
        pytest.skip("not run: needs root, to read the receiving server's volume")
    if not docker_works():
        pytest.skip("not run: Docker is not there")


@pytest.fixture(scope="module")
def stages():
    """One worker whose stages are containers, for all tests of a module; each puts back one container a stage."""
    with Stages() as fresh:
        yield fresh


@pytest.fixture(scope="module")
def cluster():
    """A whole cluster on containers, for all tests of a module; each heals what it broke."""
    with Cluster() as fresh:
        yield fresh


RECOVERIES = []     # rows of the table: fault, mails, lost, repeated, seconds


def pytest_terminal_summary(terminalreporter):
    if not RECOVERIES:
        return
    terminalreporter.section("faults survived")
    terminalreporter.write_line(f"{'fault':44}{'acknowledged':>13}{'lost':>6}{'3/N':>9}{'repeated':>10}{'whole again':>13}")
    for fault, acknowledged, lost, repeated, seconds in RECOVERIES:
        terminalreporter.write_line(f"{fault:44}{acknowledged:>13}{lost:>6}{3 / acknowledged:>9.4f}{repeated:>10}{seconds:>11.1f} s")


@pytest.fixture
def recoveries():
    return RECOVERIES
