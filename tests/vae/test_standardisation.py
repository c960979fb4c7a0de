"""The model of translated and scaled images: the same code, and the density of the images themselves."""

import math

import pytest
import torch

from tests.vae.conftest import ONE_POOLING, TWO_POOLINGS, build
from vae.standardisation import Standardisation


def measured(images, estimator="exact", reading="factorised", log_alpha=-2.0):
    model = build(TWO_POOLINGS, estimator, reading, log_alpha=log_alpha)
    model.standardisation.measure(images)
    return model


def bound(model, images):
    torch.manual_seed(3)
    with torch.no_grad():
        return model.bound(images)


@pytest.mark.parametrize(("estimator", "reading"), [("exact", "factorised"), ("nvil", "shared"), ("rloo", "shared")])
def test_translated_and_scaled_images_have_the_same_posterior_and_the_density_of_the_change_of_variables(
    estimator, reading
):
    """p(aX + t) = p(X) / a^N, where the noise is scaled too."""
    torch.manual_seed(0)
    images, place, factor = torch.rand(20, 1, 5, 5), 0.7, 2.5
    first = bound(measured(images, estimator, reading), images)
    log_alpha = -2.0 - 2 * math.log(factor)
    moved = factor * images + place
    second = bound(measured(moved, estimator, reading, log_alpha), moved)
    torch.testing.assert_close(second.kl_code, first.kl_code)
    torch.testing.assert_close(second.kl_switches, first.kl_switches)
    torch.testing.assert_close(second.log_likelihood, first.log_likelihood - 25 * math.log(factor))


def test_the_likelihood_is_the_normal_density_about_the_ground_and_the_scaled_output(monkeypatch):
    torch.manual_seed(0)
    images = torch.rand(20, 1, 5, 5)
    model = measured(images)
    drawn = []
    decode = model.decoder.forward
    monkeypatch.setattr(model.decoder, "forward", lambda *inputs: drawn.append(decode(*inputs)) or drawn[-1])
    # One position of each bottom block is certain, so that nothing is left to average over.
    model.encoder.switch_networks["0"].bias.data[1:] = -1e4
    found = bound(model, images).log_likelihood
    ground = images.median()
    scale = 3 * (images - ground).square().mean().sqrt()
    mean = ground + scale * drawn[0].mean.permute(3, 0, 1, 2)
    noise = torch.distributions.Normal(mean, math.exp(1.0))  # α₀ = e⁻², so that its standard deviation is e
    torch.testing.assert_close(found, noise.log_prob(images).sum((1, 2, 3)).detach())


def test_reconstructions_and_samples_are_in_the_images_units():
    """A decoder that says nothing gives the ground."""
    images = 0.7 + 0.1 * torch.rand(9, 1, 5, 5)
    model = measured(images)
    for dictionary in model.decoder.dictionaries:
        dictionary.data.zero_()
    ground = images.median().expand(4, 1, 5, 5)
    torch.testing.assert_close(model.reconstruct(images[:4]), ground)
    torch.testing.assert_close(model.sample(4), ground)


def test_it_is_kept_with_the_weights():
    torch.manual_seed(0)
    images = torch.rand(20, 1, 5, 5)
    model, other = measured(images), build(TWO_POOLINGS, "exact", "factorised")
    other.load_state_dict(model.state_dict())
    assert torch.equal(bound(other, images).elbo, bound(model, images).elbo)


def test_unmeasured_it_changes_nothing():
    images = torch.rand(3, 1, 4, 4)
    standardisation = build(ONE_POOLING, "exact", "factorised").standardisation
    assert torch.equal(standardisation(images), images)
    assert torch.equal(standardisation.undo(images), images)


def test_each_channel_has_its_ground_and_the_log_precision_is_about_it():
    images = torch.rand(51, 3, 5, 5)
    images[:, 1] *= 0.2
    images[:, :, :4] = torch.tensor([1.0, 0.9, 0.8]).view(3, 1, 1)  # the ground, four of five rows
    standardisation = Standardisation(3)
    standardisation.measure(images)
    assert standardisation.ground.flatten().tolist() == pytest.approx([1.0, 0.9, 0.8])
    variance = (images - torch.tensor([1.0, 0.9, 0.8]).view(3, 1, 1)).square().mean()
    assert float(standardisation(images).square().mean()) == pytest.approx(1 / 9)
    assert standardisation.log_precision == pytest.approx(-float(variance.log()), rel=1e-5)
    torch.testing.assert_close(standardisation.undo(standardisation(images)), images)


def test_equal_images_are_not_divided_by_zero():
    standardisation = Standardisation(1)
    standardisation.measure(torch.full((5, 1, 2, 2), 0.3))
    assert standardisation(torch.full((1, 1, 2, 2), 0.3)).abs().max() < 1e-4
    assert standardisation.log_precision == pytest.approx(2 * math.log(255))
