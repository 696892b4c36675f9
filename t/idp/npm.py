"""npm's packages of package.json, in a directory of their own."""

import pathlib
import shutil
import subprocess

import harness

HERE = pathlib.Path(__file__).resolve().parent


def installed(*programs):
    """The directory with the packages, and these programs and ours beside them: node finds packages by the place of a program."""
    place = harness.ROOT / "build/npm"
    place.mkdir(parents=True, exist_ok=True)
    for file in (*HERE.glob("*.mjs"), HERE / "package.json", *programs):
        shutil.copy(file, place)
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=place, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return place
