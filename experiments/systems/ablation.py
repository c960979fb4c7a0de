"""The same as `encoder`, at the settings of `bsvm`: a pair of trials that differs in the bound alone."""

from __future__ import annotations

from experiments.learning.contract import register
from experiments.systems.encoder import EncoderSystem


@register
class AblationSystem(EncoderSystem):
    """`bsvm` without the bound; no row of Table 1."""

    name = "ablation"
    settings_of = "bsvm"
