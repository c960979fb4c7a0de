"""Gradients through the switches against full enumeration."""

import itertools

import pytest
import torch

from tests.vae.conftest import ONE_POOLING, TWO_POOLINGS, all_switches, build
from vae.architecture import TABLE2
from vae.estimators.contract import LABELS, estimator_named, register, sources_of
from vae.estimators.exact import moment_matched
from vae.estimators.gumbel import Gumbel, relaxed
from vae.estimators.nvil import Nvil, _Baselines
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


@pytest.mark.parametrize("reading", ["factorised", "shared"])
def test_nvil_is_unbiased_whatever_the_scales_of_its_signals(reading, fixed_noise):
    """Signals of images and of labels whose deviations are above one and unequal keep their weights.

    So does the switches' KL term. That is the gradient before it is divided as a whole.
    """
    model, image, labelled, exact = loud(reading, fixed_noise)
    model.estimator.divides = False
    mean, error = estimated(model, image, labelled)
    deviations = [each.variance.sqrt() for each in model.estimator.baselines.values() if each.started]
    assert len(deviations) == (2 if reading == "factorised" else 4)
    assert min(deviations) > 1.5
    assert_unbiased(exact, mean, error)
    assert torch.cosine_similarity(mean, exact, dim=0) > 0.999


def loud(reading, sample):
    """Returns a model of labels with loud signals, an image, its label, and the enumerated gradient."""
    model, weight = build(TWO_POOLINGS, "nvil", reading, log_alpha=2.5), 60.0
    torch.manual_seed(11)
    image = torch.rand(1, 1, 5, 5)
    labelled = Labelled(image.expand(COPIES, -1, -1, -1).contiguous(), torch.full((COPIES,), 2), 10, weight)
    return model, image, labelled, enumerated(model, image, sample, label=2, weight=weight)


def test_nvil_divides_the_whole_gradient_of_shared_switches(fixed_noise):
    """That of a layer's switch network, by the deviation of images and labels together; Adam makes nothing of it."""
    model, image, labelled, _ = loud("shared", fixed_noise)
    enumerated_by_layer = {
        layer: torch.cat([weight.grad.flatten() for weight in network.parameters()])
        for layer, network in model.encoder.switch_networks.items()
    }
    images, found = image.expand(COPIES, -1, -1, -1).contiguous(), {layer: [] for layer in enumerated_by_layer}
    for _ in range(3):
        model.loss(Batch(images, labelled))
    model.eval()  # the running deviations stay
    for _ in range(REPEATS):
        model.zero_grad()
        model.loss(Batch(images, labelled))[0].backward()
        for layer, network in model.encoder.switch_networks.items():
            found[layer].append(torch.cat([weight.grad.flatten() for weight in network.parameters()]))
    for layer, exact in enumerated_by_layer.items():
        of_images, of_labels = (
            model.estimator.baselines[f"{source}-{layer}"].variance for source in ("images", "labels")
        )
        gradients = torch.stack(found[layer])
        divided = exact / (of_images + of_labels).sqrt()
        assert of_images.sqrt() > 1.5
        assert_unbiased(divided, gradients.mean(0), gradients.std(0) / REPEATS**0.5)


def test_nvil_converges_to_the_optimum_of_the_bound_under_a_loud_signal():
    """One block of four positions with rewards 0, 0, 0 and 3, on which lies an offset that deviates by 57.

    The maximum of E[reward] − KL(q ‖ uniform) is q ∝ exp(reward). A signal divided by its deviation, beside a KL term
    that is not, would hardly leave the uniform distribution.
    """
    torch.manual_seed(3)
    reward = torch.tensor([0.0, 0.0, 0.0, 3.0])
    images, logits = torch.zeros(4096, 1, 2, 2), torch.zeros(4, requires_grad=True)
    baselines, average = _Baselines(1, 2), torch.zeros(4)
    for step in range(1500):
        eta = logits.softmax(0)
        chosen = eta.detach().multinomial(len(images), replacement=True)
        signal, _ = baselines(images, reward[chosen] + 57 * torch.randn(len(images)))
        kl = (eta * (4 * eta).log()).sum()
        (gradient,) = torch.autograd.grad((signal * eta.log()[chosen]).mean() - kl, logits)
        with torch.no_grad():
            logits += 0.1 * gradient
            average += logits.softmax(0) * (step >= 300) / 1200
    assert baselines.variance.sqrt() > 50
    torch.testing.assert_close(average, reward.softmax(0), rtol=0, atol=0.04)


def test_baselines_are_made_for_what_is_learned_from_and_are_small():
    architecture = TABLE2["imagenet"]
    factorised, shared = (Nvil(architecture, sources_of(reading, (LABELS,))) for reading in ("factorised", "shared"))
    assert list(factorised.baselines) == [f"images-{layer}" for layer in range(4)]
    assert list(shared.baselines) == [f"{source}-{layer}" for source in ("images", "labels") for layer in range(4)]
    # 3 × 8 × 8 averages, 100 units
    assert sum(weight.numel() for weight in factorised.parameters()) == 4 * (192 * 100 + 100 + 100 + 1)
    for name in ("exact", "gumbel", "rloo"):
        assert not list(estimator_named(name)(architecture).state_dict())


def test_a_baseline_learns_a_loud_signal():
    """It predicts thousands of nats from the brightness of images, at the learning rate of small ones."""
    torch.manual_seed(5)
    baselines = _Baselines(3, 32)
    optimizer = torch.optim.Adam(baselines.parameters(), 0.003)
    for _ in range(400):
        images = torch.rand(64, 3, 32, 32) * torch.rand(64, 1, 1, 1)
        signal = 5000 * images.mean((1, 2, 3)) - 20_000
        centred, loss = baselines(images, signal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert centred.std() < 0.2 * signal.std()


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


def all_signs(monkeypatch, count):
    """Makes uniform numbers below and above one half such that the images of a batch have every pattern of signs."""
    patterns = torch.tensor(list(itertools.product([0.25, 0.75], repeat=count))).T

    def uniform_like(like):
        return patterns.view(like.shape)

    monkeypatch.setattr("vae.estimators.exact.uniform_like", uniform_like)
    return patterns.shape[1]


@pytest.mark.parametrize("eta", [[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
def test_moments_are_those_of_one_hot_draws(eta, monkeypatch):
    eta, count = torch.tensor(eta), all_signs(monkeypatch, 4)
    weights = moment_matched(eta.view(4, 1, 1, 1).expand(-1, -1, -1, count)).view(4, count)
    mean = weights.mean(1)
    torch.testing.assert_close(mean, eta)
    torch.testing.assert_close(
        (weights @ weights.T) / count - torch.outer(mean, mean), eta.diag() - torch.outer(eta, eta)
    )
    torch.testing.assert_close(weights.sum(0), torch.ones(count))
    assert (weights[eta == 0] == 0).all()


@pytest.mark.parametrize("log_alpha", [-2.0, 4.0])
def test_matched_moments_give_the_enumerated_gradient(log_alpha, fixed_noise, monkeypatch):
    """Averaged over all signs of the upper layer's one block, without any noise, at any scale of the likelihood."""
    model = build(TWO_POOLINGS, "exact", "factorised", log_alpha=log_alpha)
    torch.manual_seed(11)
    image = torch.rand(1, 1, 5, 5)
    exact = enumerated(model, image, fixed_noise)
    model.zero_grad()
    count = all_signs(monkeypatch, 4)
    model.loss(Batch(image.expand(count, -1, -1, -1).contiguous()))[0].backward()
    torch.testing.assert_close(encoder_gradient(model), exact, rtol=1e-4, atol=1e-5 * exact.abs().max().item())


def test_padding_leaves_the_gradient_of_matched_moments_finite():
    """Probabilities that are zero have no finite gradient of their square root."""
    logits = torch.tensor([0.3, -0.2, -200.0, 0.0]).view(4, 1, 1, 1).requires_grad_()
    eta = logits.masked_fill(torch.tensor([False, False, False, True]).view(4, 1, 1, 1), -torch.inf).softmax(0)
    moment_matched(eta).square().sum().backward()
    assert logits.grad.isfinite().all()


def test_exact_refuses_the_shared_reading():
    with pytest.raises(ValueError, match="'exact' cannot serve the 'shared' reading"):
        build(ONE_POOLING, "exact", "shared")


def test_running_statistics_come_from_earlier_batches():
    """The first batch starts the statistics and gives no gradient; with decay 0.8 the second moves them by a fifth."""
    baselines = Nvil(ONE_POOLING).baselines["images-0"]
    images, first, second = torch.rand(2, 1, 4, 4), torch.tensor([10.0, 30.0]), torch.tensor([50.0, 50.0])
    assert baselines(images, first)[0].tolist() == [0.0, 0.0]
    centred, loss = baselines(images, second)
    torch.testing.assert_close(centred, torch.tensor([30.0, 30.0]))
    torch.testing.assert_close(loss, torch.tensor(9.0))  # ((50 − 20) / √100)²
    torch.testing.assert_close(baselines.mean, torch.tensor(26.0))
    torch.testing.assert_close(baselines.variance, torch.tensor(80.0))


def test_leave_one_out_by_hand():
    """Two images, three draws: each draw's signal minus the mean of the other two, times its log-probability."""
    estimator = Rloo(ONE_POOLING, draws=3)
    signal = torch.tensor([[1.0, 10.0], [4.0, 10.0], [7.0, 40.0]])
    log_probability = torch.tensor([[-1.0, -2.0], [-3.0, -4.0], [-5.0, -6.0]])
    switches = {0: Switches(torch.zeros(4, 1, 1, 6), log_probability.flatten(), drawn=True)}
    found = estimator.surrogate("images", torch.zeros(6, 1, 2, 2), switches, {0: signal.flatten()})
    centred = torch.tensor([[1 - 5.5, 10 - 25.0], [4 - 4.0, 10 - 25.0], [7 - 2.5, 40 - 10.0]])
    torch.testing.assert_close(found, (centred * log_probability).mean())


def test_one_draw_leaves_none_out():
    with pytest.raises(ValueError, match="draws = 1"):
        Rloo(ONE_POOLING, draws=1)


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
    switches = Gumbel(ONE_POOLING).switches(short_posterior, 0)
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
    weights = (
        Gumbel(ONE_POOLING, temperature=temperature).switches(SwitchPosterior(probabilities(), eta, eta), 0).weights
    )
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
