# SPDX-License-Identifier: Apache-2.0
"""What the integration tests are made of: a gateway, clients that record, a checker, faults."""
