"""The provenance of the numbers: command, revision, machine, versions and settings."""

from __future__ import annotations

from typing import Any

import pandas as pd
import yaml

from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.writing.templating import render


@register(place=90)
def provenance(sources: Sources) -> Artefact:
    """Makes the section with all that is needed to reproduce the numbers."""
    sweep = sources.sweep
    machine = {key.replace("_", " ").replace("gib", "(GiB)"): _plain(value) for key, value in sweep.machine.items()}
    html = render(
        "provenance.html",
        sweep=sweep,
        machine=machine,
        computed_on=computed_on(sources.results),
        settings=yaml.safe_dump(sweep.params, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100),
    )
    return Artefact(title="Settings, versions and machine", html=html)


def computed_on(results: pd.DataFrame) -> list[str]:
    """Returns the devices and numbers of CPU threads that trials were computed on, where these are several."""
    done = results[results["status"] == "done"]
    known = [(device, threads) for device, threads in zip(done["device"], done["threads"], strict=True) if device]
    ways = {
        f"{device} with {threads or 'an unknown number of'} thread{'' if threads == '1' else 's'}"
        for device, threads in known
    }
    return sorted(ways) if len(ways) > 1 else []


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
