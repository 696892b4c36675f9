#!/usr/bin/python3
"""How much of the pure rooms the unit tests and replayed corpora run: fails below the marks. Marks go up, never down.

    t/guards/coverage.py BUILD    a build with -DOKS_COVERAGE=ON whose tests have run
"""

import collections
import gzip
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Percent of lines, and of branches that were taken. A branch of OKS_TRY is no branch: what comes back of a room below is that
# room's to test. What is left in base are calls of utf8proc that fail for want of memory alone (OpenSSL's, libxml2's and xmlsec1's
# do in t/unit/test_memory.c), and a process that ends (oks_json_init) without writing its counts. A mark is half a percent or more
# below what was counted: keys and padding are random.
MARKS = {"base": (98, 90), "crypto": (99, 86), "xml": (99, 90), "saml": (98, 88), "oidc": (99, 88), "scim": (99, 88)}
PASSED_ON = re.compile(r"OKS_TRY\(")


def reports(build):
    """gcov's JSON of each object of the pure rooms."""
    counts = [path.resolve() for room in MARKS for path in (build / f"CMakeFiles/oks_{room}.dir").rglob("*.gcda")]
    assert counts, f"{build} has no counts: build with -DOKS_COVERAGE=ON and run its tests"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["gcov", "-b", "--json-format", *map(str, counts)], cwd=folder, check=True, capture_output=True)
        for path in pathlib.Path(folder).glob("*.gcov.json.gz"):
            yield json.loads(gzip.decompress(path.read_bytes()))


def main():
    lines, branches, missing = collections.defaultdict(set), collections.defaultdict(dict), collections.defaultdict(set)
    for report in reports(pathlib.Path(sys.argv[1])):
        for file in report["files"]:
            path = (pathlib.Path(report["current_working_directory"]) / file["file"]).resolve()
            room = path.parent.name
            if path.parent.parent != ROOT / "src" or room not in MARKS:
                continue
            source = path.read_text().splitlines()
            for line in file["lines"]:
                number, text = line["line_number"], source[line["line_number"] - 1]
                (lines if line["count"] else missing)[room].add((path.name, number))
                if not PASSED_ON.search(text):
                    for i, branch in enumerate(line["branches"]):
                        taken = branches[room].setdefault((path.name, number, i), False)
                        branches[room][path.name, number, i] = taken or branch["count"] > 0
    low = []
    for room, (line_mark, branch_mark) in MARKS.items():
        missed = missing[room] - lines[room]
        line_part = 100 * len(lines[room]) / (len(lines[room]) + len(missed))
        branch_part = 100 * sum(branches[room].values()) / len(branches[room])
        print(f"{room:8} lines {line_part:5.1f} % (mark {line_mark}), branches {branch_part:5.1f} % (mark {branch_mark})")
        if line_part < line_mark or branch_part < branch_mark:
            low.append(room)
        if "-v" in sys.argv:
            print("   lines not run:", ", ".join(f"{name}:{number}" for name, number in sorted(missed)))
            print("   branches not taken:", ", ".join(sorted({f"{name}:{number}" for (name, number, _), taken in branches[room].items() if not taken})))
    sys.exit(f"below the mark: {', '.join(low)}" if low else 0)


if __name__ == "__main__":
    main()
