"""A captioner that is rebuilt from a description and a trained model's weights."""

from dataclasses import asdict

import pytest
import torch

from tests.vae.conftest import ONE_POOLING, build
from vae.caption_model import CaptionModel
from vae.captioner import Captioner
from vae.prediction import codes

DESCRIPTION = {
    "architecture": asdict(ONE_POOLING),
    "activation": "relu",
    "switch_hidden": 3,
    "code_hidden": 2,
    "cell": "gru",
    "units": 5,
    "word_size": 4,
    "words": ["", "", "a", "b"],
    "decoding": "greedy",
    "draws": 2,
    "beams": 1,
    "length_power": 0.0,
    "longest": 3,
}


@pytest.mark.parametrize("reading", ["factorised", "shared"])
def test_what_an_estimator_learned_is_not_needed_to_caption(reading):
    """NVIL's baselines are among the weights that a trial keeps; the codes are the trained model's all the same."""
    trained = build(ONE_POOLING, "nvil", reading)
    trained.label_model = CaptionModel(2, 4, cell="gru", units=5, word_size=4)
    weights = trained.state_dict()
    assert any(name.startswith("estimator.") for name in weights)
    captioner = Captioner({**DESCRIPTION, "estimator": "nvil", "reading": reading}, weights)
    assert not list(captioner.model.estimator.parameters())
    found = []
    for model in (trained.eval(), captioner.model):
        torch.manual_seed(5)
        found.append(torch.stack(list(codes(model, torch.full((1, 1, 4, 4), 0.5), 2))))
    assert torch.equal(*found)
