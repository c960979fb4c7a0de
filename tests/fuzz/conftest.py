"""What the loops of attempts share: how many attempts to make, and the table of what came of them.

`pytest tests/fuzz` makes a short slice of the attempts, `pytest tests/fuzz --fuzz` (`make fuzz`) all of them. Both are
seeded, and so the same in each run.
"""

from collections import Counter

import pytest

from tests.experiments.conftest import main, toy_images, toy_modules, world  # noqa: F401  # fixtures

OUTCOMES = ("refused in one line", "survived", "lost", "doubled", "wrong")


class Tally:
    """Counts what came of the attempts of one kind.

    An attempt either ended in a message of one line (`refused in one line`), or did no harm (`survived`: the value was
    fit to be used, or the fault was made up for), or it lost, doubled or falsified something.
    """

    def __init__(self, kind):
        self.kind = kind
        self.outcomes = Counter()

    def count(self, outcome):
        """Notes the outcome of an attempt."""
        assert outcome in OUTCOMES
        self.outcomes[outcome] += 1

    @property
    def harm(self):
        """The number of attempts that lost, doubled or falsified something."""
        return sum(self.outcomes[outcome] for outcome in OUTCOMES[2:])


@pytest.fixture
def attempts(request):
    """Returns how many attempts to make: `attempts(short, all)`."""
    return lambda short, everything: everything if request.config.getoption("--fuzz") else short


@pytest.fixture
def tally(record_property):
    """Makes a tally for a kind of attempts; it becomes a row of the table at the end."""
    made = []

    def start(kind):
        made.append(Tally(kind))
        return made[-1]

    yield start
    for one in made:
        record_property("tally", [one.kind, *(one.outcomes[outcome] for outcome in OUTCOMES)])


def pytest_terminal_summary(terminalreporter):
    """Prints the table of all tallies, as docs/survival.md shows it."""
    # A tally is noted when its fixture ends, in the report that pytest files under "".
    reports = [report for outcome in ("", "error") for report in terminalreporter.getreports(outcome)]
    rows = sorted({tuple(value) for report in reports for name, value in report.user_properties if name == "tally"})
    if rows:
        terminalreporter.write_line("\n| what was tried | attempts | " + " | ".join(OUTCOMES) + " |")
        terminalreporter.write_line("|---|" + "--:|" * (len(OUTCOMES) + 1))
        for kind, *counts in rows:
            terminalreporter.write_line(f"| {kind} | {sum(counts):,} | " + " | ".join(f"{n:,}" for n in counts) + " |")
