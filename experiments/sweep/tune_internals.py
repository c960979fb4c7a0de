"""What a sweep does with parts of Ray Tune that Ray does not document. A new release of Ray may change them."""

from __future__ import annotations

from typing import Any


def forgive_failure(trial: Any) -> None:
    """Takes back the last failure that Tune has counted for one of its trials.

    Tune lets a trial fail `FailureConfig.max_failures` times, and counts the loss of a node like a crash. It exempts
    only actors that Ray itself reports as preempted.
    """
    trial.run_metadata.num_failures -= 1
