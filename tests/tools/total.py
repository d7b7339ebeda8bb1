#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up the JUnit files of all runners. Last line: `N passed, N failed[, N skipped]`; exits 1 on failures."""

import argparse
import sys
import xml.etree.ElementTree as tree


def fate(case):
    """ctest says it in an attribute, pytest by the child elements."""
    children = {child.tag for child in case}
    if children & {"failure", "error"} or case.get("status") == "fail":
        return "failed"
    if "skipped" in children or case.get("status") in ("notrun", "disabled"):
        return "skipped"
    return "passed"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ready", choices=["yes", "no"], default="yes", help="no: something did not even run")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for file in options.files:
        for case in tree.parse(file).iter("testcase"):
            became = fate(case)
            count[became] += 1
            if became == "failed":
                print(f"failed: {case.get('classname')} {case.get('name')}")
    count["failed"] += options.ready == "no"
    line = f"{count['passed']} passed, {count['failed']} failed"
    print(line + (f", {count['skipped']} skipped" if count["skipped"] else ""))
    sys.exit(1 if count["failed"] or not count["passed"] else 0)


if __name__ == "__main__":
    main()
