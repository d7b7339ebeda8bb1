# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.conformance.alone import Ingress  # noqa: E402
from tests.lib.fixtures import *  # noqa: E402, F401, F403


@pytest.fixture(scope="module")
def ingress():
    """postern-ingress by itself, with TLS: for what no other process has a part in."""
    documents = {
        "domain/example.org": {},
        "domain/listed.example": {"recipients": ["known", "a%b"]},
        "ingress": {"unlimited": ["127.0.0.0/8"], "xclient": ["127.0.0.1"], "normalise": ["192.0.2.9"],
                    "message_max": 1 << 20, "errors_max": 20},
        "relay": {"clients": ["10.0.0.0/8", "2001:db8:1::/48"]},
    }
    with Ingress(documents, tls=True) as fresh:
        yield fresh
