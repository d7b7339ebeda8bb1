# SPDX-License-Identifier: Apache-2.0
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.lib.gateway import BUILD, Gateway  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "root: needs root")


def pytest_runtest_setup(item):
    if not (BUILD / "bin" / "postern-ingress").exists():
        pytest.fail(f"no programs in {BUILD}/bin: build them first (cmake --workflow --preset release)")
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("not run: needs root")


@pytest.fixture
def gateway():
    """A fresh gateway that is this test's alone."""
    with Gateway() as fresh:
        yield fresh


@pytest.fixture(scope="module")
def shared():
    """One gateway for all tests of a module that do it no harm."""
    with Gateway() as fresh:
        yield fresh
