"""Gradients through the switches against full enumeration."""

import pytest
import torch

from tests.vae.conftest import ONE_POOLING, TWO_POOLINGS, all_switches, build
from vae.estimators.contract import estimator_named, register
from vae.estimators.gumbel import Gumbel, relaxed
from vae.estimators.nvil import Nvil, _SignalControl
from vae.estimators.rloo import Rloo
from vae.model import Batch, Labelled
from vae.objective import gaussian_log_likelihood, kl_code
from vae.pooling import Switches, SwitchPosterior, uniform_switches

COPIES, REPEATS = 2048, 60
UNBIASED = [
    ("nvil", "factorised"),
    ("nvil", "shared"),
    ("rloo", "factorised"),
    ("rloo", "shared"),
    ("exact", "factorised"),
]


def encoder_gradient(model):
    return torch.cat([p.grad.flatten() for p in model.encoder.parameters()])


def enumerated(model, image, sample, label=None, weight=0.0, switch_weight=1.0):
    """Returns the gradient of the exact expectation over all switches, for one image [1, N_c, H, W]."""
    model.zero_grad()
    weights = all_switches(model.architecture)
    combinations = next(iter(weights.values())).shape[-1]
    images = image.expand(combinations, -1, -1, -1)

    def given(posterior, layer):
        log_eta = posterior.probabilities.clamp(min=1e-30).log()
        return Switches(weights[layer], (weights[layer] * log_eta).sum((0, 1, 2)), drawn=True)

    encoding = model.encoder(images, given if model.reading == "shared" else None)
    switches = encoding.drawn or {i: given(p, i) for i, p in encoding.posteriors.items()}
    code = sample(encoding)
    error = model.decoder(code, switches).squared_error(images)
    value = gaussian_log_likelihood(error, model.decoder.log_alpha, model.architecture.values)
    value = value - kl_code(encoding.mean, encoding.log_sigma)
    value = value - switch_weight * sum(p.kl for p in encoding.posteriors.values())
    if label is not None:
        labels = torch.full((combinations,), label)
        value = value + weight * model.label_model.log_likelihood(code, labels)
    mass = sum(s.log_probability for s in switches.values()).exp()
    torch.testing.assert_close(mass.sum(), torch.ones(()), rtol=1e-4, atol=1e-4)
    (mass * value).sum().neg().backward()
    return encoder_gradient(model)


def estimated(model, image, labelled=None, switch_weight=1.0):
    """Returns mean and standard error of the estimator's gradient over independent repeats."""
    images = image.expand(COPIES // model.estimator.draws, -1, -1, -1).contiguous()
    gradients = []
    model.loss(Batch(images, labelled))  # the first batch only starts the running statistics
    for _ in range(REPEATS):
        model.zero_grad()
        model.loss(Batch(images, labelled), switch_weight)[0].backward()
        gradients.append(encoder_gradient(model))
    stacked = torch.stack(gradients)
    return stacked.mean(0), stacked.std(0) / REPEATS**0.5


def assert_unbiased(exact, mean, error):
    assert exact.norm() > 20 * error.norm(), "the gradient must stand out of the noise"
    assert ((mean - exact).abs() <= 4.5 * error + 1e-4 * exact.abs().max()).all()


@pytest.mark.parametrize("architecture", [ONE_POOLING, TWO_POOLINGS], ids=lambda a: a.name)
@pytest.mark.parametrize(("estimator", "reading"), UNBIASED)
def test_gradient_of_the_bound_is_the_enumerated_one(architecture, estimator, reading, fixed_noise):
    model = build(architecture, estimator, reading)
    torch.manual_seed(11)
    image = torch.rand(1, 1, architecture.side, architecture.side)
    exact = enumerated(model, image, fixed_noise)
    mean, error = estimated(model, image)
    if estimator == "nvil":
        for control in model.estimator.controls.values():
            assert control.variance < 1, "below one the signal is not rescaled"
    assert_unbiased(exact, mean, error)


@pytest.mark.parametrize("architecture", [ONE_POOLING, TWO_POOLINGS], ids=lambda a: a.name)
@pytest.mark.parametrize(("estimator", "reading"), [("nvil", "shared"), ("rloo", "shared"), ("rloo", "factorised")])
def test_gradient_with_the_label_term(architecture, estimator, reading, fixed_noise):
    """Shared switches learn from the labels too. Factorised ones do not, and labels must not change their gradient."""
    model = build(architecture, estimator, reading)
    torch.manual_seed(11)
    image, weight = torch.rand(1, 1, architecture.side, architecture.side), 0.7
    exact = enumerated(model, image, fixed_noise, label=2, weight=weight)
    copies = COPIES // model.estimator.draws
    labelled = Labelled(image.expand(copies, -1, -1, -1).contiguous(), torch.full((copies,), 2), 10, weight)
    mean, error = estimated(model, image, labelled)
    assert_unbiased(exact, mean, error)


@pytest.mark.parametrize(("estimator", "reading"), [("rloo", "shared"), ("exact", "factorised")])
def test_gradient_while_the_switches_term_comes_in(estimator, reading, fixed_noise):
    """Shared draws influence the weighted KL of the layers above, so it is part of their signal."""
    model = build(TWO_POOLINGS, estimator, reading)
    torch.manual_seed(11)
    image = torch.rand(1, 1, 5, 5)
    exact = enumerated(model, image, fixed_noise, switch_weight=0.3)
    mean, error = estimated(model, image, switch_weight=0.3)
    assert_unbiased(exact, mean, error)


def test_exact_has_no_noise_at_the_bottom(fixed_noise):
    model = build(ONE_POOLING, "exact", "factorised")
    image = torch.rand(1, 1, 4, 4)
    exact = enumerated(model, image, fixed_noise)
    model.zero_grad()
    model.loss(Batch(image))[0].backward()
    torch.testing.assert_close(encoder_gradient(model), exact, rtol=1e-4, atol=1e-5)


def test_exact_refuses_the_shared_reading():
    with pytest.raises(ValueError, match="'exact' cannot serve the 'shared' reading"):
        build(ONE_POOLING, "exact", "shared")


def test_running_statistics_come_from_earlier_batches():
    """The first batch starts the statistics and gives no gradient; with decay 0.8 the second moves them by a fifth."""
    control = Nvil(4, [0]).controls["images-0"]
    images, first, second = torch.rand(2, 1, 2, 2), torch.tensor([10.0, 30.0]), torch.tensor([50.0, 50.0])
    assert control(images, first)[0].tolist() == [0.0, 0.0]
    scaled, _ = control(images, second)
    torch.testing.assert_close(scaled, torch.tensor([3.0, 3.0]))  # (50 − 20) / √100
    torch.testing.assert_close(control.mean, torch.tensor(26.0))
    torch.testing.assert_close(control.variance, torch.tensor(80.0))


def test_leave_one_out_by_hand():
    """Two images, three draws: each draw's signal minus the mean of the other two, times its log-probability."""
    estimator = Rloo(4, [0], draws=3)
    signal = torch.tensor([[1.0, 10.0], [4.0, 10.0], [7.0, 40.0]])
    log_probability = torch.tensor([[-1.0, -2.0], [-3.0, -4.0], [-5.0, -6.0]])
    switches = {0: Switches(torch.zeros(4, 1, 1, 6), log_probability.flatten(), drawn=True)}
    found = estimator.surrogate("images", torch.zeros(6, 1, 2, 2), switches, {0: signal.flatten()})
    centred = torch.tensor([[1 - 5.5, 10 - 25.0], [4 - 4.0, 10 - 25.0], [7 - 2.5, 40 - 10.0]])
    torch.testing.assert_close(found, (centred * log_probability).mean())


def test_one_draw_leaves_none_out():
    with pytest.raises(ValueError, match="draws = 1"):
        Rloo(4, [0], draws=1)


def test_draws_of_an_image_share_its_noise():
    model = build(ONE_POOLING, "rloo", "factorised")
    encoding = model.encode(torch.rand(5, 1, 4, 4)).repeated(3)
    codes = encoding.sample(3).unflatten(2, (3, 5))
    assert torch.equal(codes, codes[:, :, :1].expand_as(codes))
    assert codes[:, :, 0].unique().numel() == codes[:, :, 0].numel()


@pytest.fixture
def short_posterior():
    """η of blocks of 4, 2, 2 and 1 real positions, two dictionary elements, the same in 20,000 images."""
    torch.manual_seed(4)
    prior = uniform_switches(3, 2, 2)
    eta = torch.randn(4, 2, 4, 1).masked_fill(prior == 0, -torch.inf).softmax(0)
    return SwitchPosterior(eta.expand(-1, -1, -1, 20_000), eta, eta)


def test_straight_through_weights_are_draws(short_posterior):
    torch.manual_seed(5)
    switches = Gumbel(4, [0]).switches(short_posterior, 0)
    eta, weights = short_posterior.probabilities, switches.weights
    assert switches.drawn
    assert ((weights == 0) | (weights == 1)).all()
    assert (weights.sum(0) == 1).all()
    assert (weights[eta == 0] == 0).all()
    error = (eta * (1 - eta) / weights.shape[3]).sqrt()[..., 0]
    assert ((weights.mean(3) - eta[..., 0]).abs() <= 4.5 * error).all()


def test_straight_through_gradient_is_the_soft_one(short_posterior):
    """d/d logits of cᵀ softmax((logits − log Σ exp logits + g) / τ), written out from the same noise."""
    temperature, eta = 0.7, short_posterior.probabilities[..., :3]
    real = eta > 0
    slope = torch.randn(eta.shape)
    logits = eta.clamp(min=1e-30).log().requires_grad_()

    def probabilities():
        return logits.masked_fill(~real, -torch.inf).softmax(0)

    torch.manual_seed(6)
    weights = Gumbel(4, [0], temperature).switches(SwitchPosterior(probabilities(), eta, eta), 0).weights
    (found,) = torch.autograd.grad((slope * weights).sum(), logits)
    torch.manual_seed(6)
    noise = -torch.empty_like(eta).exponential_().log()
    soft = torch.exp((logits.double() + noise) / temperature) * real
    (expected,) = torch.autograd.grad((slope * soft / soft.sum(0)).sum(), logits)
    assert (found[~real] == 0).all()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_temperature_biases_and_less_so_as_it_falls():
    """The signal is linear in the switch, with two positions: the expectation's slope is η₀ η₁.

    The slope of the soft weight is integrated over the quantiles of the noise, whose difference is logistic.
    """
    quantiles = (torch.arange(100_000, dtype=torch.double) + 0.5) / 100_000
    noise = torch.stack([quantiles.logit(), torch.zeros_like(quantiles)])
    biases = []
    for temperature in (4.0, 1.0, 0.5, 0.1):
        logit = torch.tensor(1.0, dtype=torch.double, requires_grad=True)
        eta = torch.stack([logit.sigmoid(), 1 - logit.sigmoid()])[:, None]
        (slope,) = torch.autograd.grad(relaxed(eta, noise, temperature)[0].mean(), logit)
        biases.append(abs(slope.item() / (eta[0] * eta[1]).item() - 1))
    assert biases == sorted(biases, reverse=True)
    assert biases[0] > 0.5
    assert biases[-1] < 0.01


@pytest.mark.parametrize("architecture", [ONE_POOLING, TWO_POOLINGS], ids=lambda a: a.name)
@pytest.mark.parametrize("reading", ["factorised", "shared"])
def test_straight_through_is_biased(architecture, reading, fixed_noise):
    """On the bound, which is not linear in the switches, it differs from enumeration by far more than noise.

    This holds at a high and at a low temperature.
    """
    model = build(architecture, "gumbel", reading)
    torch.manual_seed(11)
    image = torch.rand(1, 1, architecture.side, architecture.side)
    exact = enumerated(model, image, fixed_noise)
    for temperature in (0.5, 8.0):
        model.estimator.temperature = temperature
        mean, error = estimated(model, image)
        assert (mean - exact).norm() > 6 * error.norm()


def test_names():
    with pytest.raises(KeyError, match="unknown estimator 'nvli': known are exact, gumbel, nvil, rloo"):
        estimator_named("nvli")
    with pytest.raises(ValueError, match="two estimators are named 'nvil'"):
        register(type("Other", (Nvil,), {}))


def test_a_baseline_draws_its_hidden_layer_first():
    """Published trials rest on this order: the layers take their weights from one random stream."""
    torch.manual_seed(7)
    control, after = _SignalControl(12), torch.rand(1)
    torch.manual_seed(7)
    hidden, _output = torch.nn.Linear(12, 100), torch.nn.Linear(100, 1)
    assert torch.equal(control.baseline[0].weight, hidden.weight)
    assert torch.equal(control.baseline[0].bias, hidden.bias)
    assert torch.equal(after, torch.rand(1))
