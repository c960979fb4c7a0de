"""Scratch folders are gone with their process, also where it was killed."""

import os
import subprocess
import sys
from pathlib import Path

from data.workers.scratch import OWNER, YOUNG_SECONDS, scratch_folder

ROOT = Path(__file__).parents[3]
KILLED = """
import os, signal, sys
from pathlib import Path
from data.workers.scratch import scratch_folder
with scratch_folder("tune", Path(sys.argv[1])) as folder:
    (folder / "trials").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def aged(folder):
    """As if the folder had been made a while ago."""
    then = (folder / OWNER).stat().st_mtime - 2 * YOUNG_SECONDS
    os.utime(folder / OWNER, (then, then))


def test_what_a_killed_process_left_is_cleared(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], env={**os.environ, "PYTHONPATH": str(ROOT)})
    (left,) = tmp_path.iterdir()
    (tmp_path / "tune-of-another-program").mkdir()
    with scratch_folder("tune", tmp_path) as first:
        assert left.exists()  # perhaps its process has not locked it yet
        aged(left)
        aged(first)
        with scratch_folder("tune", tmp_path) as second:
            assert not left.exists()
            assert first.exists()
            assert second.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in tmp_path.iterdir()] == ["tune-of-another-program"]
