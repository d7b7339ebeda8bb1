# SPDX-License-Identifier: Apache-2.0
"""What the conftest files of integration and conformance share."""

import os
import resource
from pathlib import Path

import pytest

from tests.lib.gateway import BUILD, ROOT, Gateway

SUITES = Path(os.environ.get("POSTERN_SUITES", ROOT.parent / "shared" / "suites"))


def pytest_configure(config):
    config.addinivalue_line("markers", "root: needs root")
    # Tests play a thousand clients at a time.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, most), most))


def pytest_runtest_setup(item):
    if not (BUILD / "bin" / "postern-ingress").exists():
        pytest.fail(f"no programs in {BUILD}/bin: build them first (cmake --workflow --preset release)")
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("not run: needs root")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    item.failed = report.when == "call" and report.failed


@pytest.fixture
def gateway(request):
    """A fresh gateway that is this test's alone."""
    with Gateway() as fresh:
        yield fresh
        if getattr(request.node, "failed", False):
            fresh.tell_logs()


@pytest.fixture(scope="module")
def shared():
    """One gateway for all tests of a module that do it no harm."""
    with Gateway() as fresh:
        yield fresh


@pytest.fixture(scope="session")
def suites():
    """The folder of test material by others."""
    if not SUITES.is_dir():
        pytest.skip(f"not run: no suites at {SUITES}; set POSTERN_SUITES")
    return SUITES
