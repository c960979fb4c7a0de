"""Gradients through the switches against full enumeration."""

import pytest
import torch

from tests.vae.conftest import ONE_POOLING, TWO_POOLINGS, all_switches, build
from vae.estimators.contract import estimator_named, register
from vae.estimators.nvil import Nvil
from vae.model import Labelled
from vae.objective import gaussian_log_likelihood, kl_code
from vae.pooling import Switches

COPIES, REPEATS = 2048, 60


def encoder_gradient(model):
    return torch.cat([p.grad.flatten() for p in model.encoder.parameters()])


def enumerated(model, image, sample, label=None, weight=0.0):
    """The gradient of the exact expectation over all switches, for one image [1, N_c, H, W]."""
    model.zero_grad()
    weights = all_switches(model.architecture)
    combinations = next(iter(weights.values())).shape[-1]
    images = image.expand(combinations, -1, -1, -1)

    def given(posterior, layer):
        log_eta = posterior.probabilities.clamp(min=1e-30).log()
        return Switches(weights[layer], (weights[layer] * log_eta).sum((0, 1, 2)))

    encoding = model.encoder(images, given if model.reading == "shared" else None)
    switches = encoding.drawn or {i: given(p, i) for i, p in encoding.posteriors.items()}
    code = sample(encoding)
    error = model.decoder(code, switches).squared_error(images)
    value = gaussian_log_likelihood(error, model.decoder.log_alpha, model.architecture.values)
    value = value - kl_code(encoding.mean, encoding.log_sigma) - sum(p.kl for p in encoding.posteriors.values())
    if label is not None:
        labels = torch.full((combinations,), label)
        value = value + weight * model.label_model.log_likelihood(code, labels)
    mass = sum(s.log_probability for s in switches.values()).exp()
    torch.testing.assert_close(mass.sum(), torch.ones(()), rtol=1e-4, atol=1e-4)
    (mass * value).sum().neg().backward()
    return encoder_gradient(model)


def estimated(model, image, labelled=None):
    """Mean and standard error of the estimator's gradient, over independent repeats."""
    images = image.expand(COPIES, -1, -1, -1).contiguous()
    gradients = []
    model.loss(images, labelled)  # the first batch only starts the running statistics
    for _ in range(REPEATS):
        model.zero_grad()
        model.loss(images, labelled)[0].backward()
        gradients.append(encoder_gradient(model))
    stacked = torch.stack(gradients)
    return stacked.mean(0), stacked.std(0) / REPEATS**0.5


def assert_unbiased(exact, mean, error):
    assert exact.norm() > 20 * error.norm(), "the gradient must stand out of the noise"
    assert ((mean - exact).abs() <= 4.5 * error + 1e-4 * exact.abs().max()).all()


@pytest.mark.parametrize("architecture", [ONE_POOLING, TWO_POOLINGS], ids=lambda a: a.name)
@pytest.mark.parametrize(
    ("estimator", "reading"), [("nvil", "factorised"), ("nvil", "shared"), ("exact", "factorised")]
)
def test_gradient_of_the_bound_is_the_enumerated_one(architecture, estimator, reading, fixed_noise):
    model = build(architecture, estimator, reading)
    torch.manual_seed(11)
    image = torch.rand(1, 1, architecture.side, architecture.side)
    exact = enumerated(model, image, fixed_noise)
    mean, error = estimated(model, image)
    for control in model.estimator.controls.values():
        assert control.variance < 1, "below one the signal is not rescaled"
    assert_unbiased(exact, mean, error)


def test_shared_switches_learn_from_the_labels_too(fixed_noise):
    model = build(ONE_POOLING, "nvil", "shared")
    torch.manual_seed(11)
    image, weight = torch.rand(1, 1, 4, 4), 0.7
    exact = enumerated(model, image, fixed_noise, label=2, weight=weight)
    labelled = Labelled(image.expand(COPIES, -1, -1, -1).contiguous(), torch.full((COPIES,), 2), 10, weight)
    mean, error = estimated(model, image, labelled)
    assert_unbiased(exact, mean, error)


def test_exact_has_no_noise_at_the_bottom(fixed_noise):
    model = build(ONE_POOLING, "exact", "factorised")
    image = torch.rand(1, 1, 4, 4)
    exact = enumerated(model, image, fixed_noise)
    model.zero_grad()
    model.loss(image, None)[0].backward()
    torch.testing.assert_close(encoder_gradient(model), exact, rtol=1e-4, atol=1e-5)


def test_exact_refuses_the_shared_reading():
    with pytest.raises(ValueError, match="'exact' cannot serve the 'shared' reading"):
        build(ONE_POOLING, "exact", "shared")


def test_running_statistics_come_from_earlier_batches():
    """The first batch starts them and teaches nothing; with decay 0.8 the second moves them by a fifth."""
    control = Nvil(4, [0]).controls["images-0"]
    images, first, second = torch.rand(2, 1, 2, 2), torch.tensor([10.0, 30.0]), torch.tensor([50.0, 50.0])
    assert control(images, first)[0].tolist() == [0.0, 0.0]
    scaled, _ = control(images, second)
    torch.testing.assert_close(scaled, torch.tensor([3.0, 3.0]))  # (50 − 20) / √100
    torch.testing.assert_close(control.mean, torch.tensor(26.0))
    torch.testing.assert_close(control.variance, torch.tensor(80.0))


def test_names():
    with pytest.raises(KeyError, match="unknown estimator 'nvli': known are exact, nvil"):
        estimator_named("nvli")
    with pytest.raises(ValueError, match="two estimators are named 'nvil'"):
        register(type("Other", (Nvil,), {}))
