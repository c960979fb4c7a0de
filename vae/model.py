"""The variational autoencoder: encoder, decoder, label or caption model, estimator, and the objective for all of them.

ξ (xi) is the weight of the label term in the objective, eq (18); ρ is the labelled proportion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vae.architecture import Architecture
from vae.caption_model import CaptionModel
from vae.decoder import Decoder
from vae.encoder import Encoder, Encoding
from vae.estimators.contract import IMAGES, LABELS, MISSING, Estimator
from vae.labels import LabelModel
from vae.objective import Bound, gaussian_log_likelihood, kl_code
from vae.pooling import Switches
from vae.standardisation import Standardisation

READINGS = ("factorised", "shared")


@dataclass(frozen=True)
class Labelled:
    """Labelled images for one step, a sample of all labelled images.

    Attributes:
        images: [B', N_c, H, W].
        labels: [B'], or captions [B', L] for a caption model.
        total: the number of labelled images that they are a sample of.
        weight: ξ·ρ, the weight of the label term relative to the bound *per image*.
    """

    images: Tensor
    labels: Tensor
    total: int
    weight: float


@dataclass(frozen=True)
class Marginalised:
    """Images for one step whose missing labels are marginalised.

    Attributes:
        images: [B', N_c, H, W], unchanged; missing labels are guessed from them.
        views: augmented versions of the same images; the labels are learned on them.
        labels: [B'], −1 where missing.
        weight: of the term, as for the label term.
    """

    images: Tensor
    views: Tensor
    labels: Tensor
    weight: float


@dataclass(frozen=True)
class Batch:
    """What one training step learns from.

    Attributes:
        images: [B, N_c, H, W], for the bound; None leaves the bound out, and with it the decoder.
        labelled: for the label term; None with ξ = 0.
        marginalised: for the term of missing labels; None without that term.
        labels: [B], those of `images`, −1 where missing, for a model whose bound depends on them; else None.
    """

    images: Tensor | None = None
    labelled: Labelled | None = None
    marginalised: Marginalised | None = None
    labels: Tensor | None = None

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> Batch:
        """Builds a batch from a mapping of its fields; `labelled` and `marginalised` are mappings of theirs."""
        kinds = {"labelled": Labelled, "marginalised": Marginalised}
        return cls(**{name: kinds[name](**part) if name in kinds else part for name, part in parts.items()})


class VariationalAutoencoder(nn.Module):
    """The decoder p(X | s, z), the encoder q(s, z | X), and p(y | s) of labels or p(Y | s) of captions, as one model.

    All of them but the label model work on standardised images (see `vae.standardisation`).

    Args:
        reading: how q is read. "factorised": eq (5) as written, q(s|X) q(z|X), where the encoder pools by expectation.
            "shared": the decoder unpools with the switches that pooled the encoder's maps.

    Raises:
        ValueError: the estimator cannot serve the reading.
    """

    def __init__(
        self,
        architecture: Architecture,
        encoder: Encoder,
        decoder: Decoder,
        label_model: LabelModel | CaptionModel,
        estimator: Estimator,
        reading: str,
    ) -> None:
        super().__init__()
        if reading not in estimator.readings:
            raise ValueError(
                f"estimator {estimator.name!r} cannot serve the {reading!r} reading of q: "
                f"it serves {', '.join(sorted(estimator.readings))}"
            )
        self.architecture = architecture
        self.standardisation = Standardisation(architecture.channels)
        self.encoder = encoder
        self.decoder = decoder
        self.label_model = label_model
        self.estimator = estimator
        self.reading = reading

    @property
    def classifier(self) -> LabelModel:
        """The label model of a model of labels.

        Raises:
            TypeError: the model is one of captions.
        """
        if not isinstance(self.label_model, LabelModel):
            raise TypeError("a model of captions has no class probabilities")
        return self.label_model

    def encode(self, images: Tensor) -> Encoding:
        """Returns q(s, z | X) of images [B, N_c, H, W], under the model's reading of q."""
        return self.encoder(self.standardisation(images), self.estimator.switches if self.reading == "shared" else None)

    def encode_by_expectation(self, images: Tensor) -> Encoding:
        """Returns q(s, z | X) of images [B, N_c, H, W], pooled by expectation under either reading of q."""
        return self.encoder(self.standardisation(images))

    def _switches(self, encoding: Encoding) -> Mapping[int, Switches]:
        """Returns what the decoder unpools with: the encoder's own draws (shared) or fresh ones (factorised)."""
        if self.reading == "shared":
            return encoding.drawn
        return {layer: self.estimator.switches(posterior, layer) for layer, posterior in encoding.posteriors.items()}

    def _encode_times(self, images: Tensor, times: int) -> tuple[Tensor, Encoding]:
        """Returns the images and their encodings, repeated; the encoder runs only once where it draws nothing."""
        repeated = images if times == 1 else images.repeat(times, 1, 1, 1)
        if self.reading == "shared":
            return repeated, self.encode(repeated)
        return repeated, self.encode(images).repeated(times)

    def _kl_code(self, encoding: Encoding, labels: Tensor | None) -> Tensor:
        """Returns KL(q(s|X) ‖ p(s)), [B].

        Args:
            labels: [B], −1 where missing, for a model whose posterior depends on them; this one's does not.
        """
        return kl_code(encoding.mean, encoding.log_sigma)

    def _bound(
        self,
        images: Tensor,
        encoding: Encoding,
        switches: Mapping[int, Switches],
        times: int = 1,
        labels: Tensor | None = None,
    ) -> Bound:
        standardised = self.standardisation(images)
        error = self.decoder(encoding.sample(times), switches).squared_error(standardised)
        error = self.standardisation.scale.square() * error  # ‖X − (g + c S̃)‖²
        return Bound(
            gaussian_log_likelihood(error, self.decoder.log_alpha, self.architecture.values),
            self._kl_code(encoding, labels),
            sum((posterior.kl for posterior in encoding.posteriors.values()), error.new_zeros(error.shape)),
        )

    def bound(self, images: Tensor) -> Bound:
        """Returns the lower bound of log p(X), eq (5) without its label term, estimated from one draw.

        Args:
            images: [B, N_c, H, W].
        """
        encoding = self.encode(images)
        return self._bound(images, encoding, self._switches(encoding))

    def _signals(self, encoding: Encoding, bound: Bound, switch_weight: float) -> dict[int, Tensor]:
        """Returns, by layer, the terms of the objective that the layer's draws influence, [B]: NVIL's local signals.

        The switches' KL terms are in closed form, so a layer's own one is not in its signal. Factorised draws influence
        the reconstruction alone; shared draws also influence all that the encoder computes from the pooled maps.
        """
        signals, downstream = {}, bound.log_likelihood.detach()
        if self.reading == "shared":
            downstream = downstream - bound.kl_code.detach()
        for layer in reversed(list(encoding.posteriors)):
            signals[layer] = downstream
            if self.reading == "shared":
                downstream = downstream - switch_weight * encoding.posteriors[layer].kl.detach()
        return signals

    def loss(self, batch: Batch, switch_weight: float = 1.0) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns what a step minimises, and its parts as detached scalars.

        The objective per image is the mean of the bound over all images, plus ξ·ρ times the mean label term over
        labelled images: the sum of eq (18) divided by the number of images. The labelled images are a sample of their
        own, so that every step sees some, however few there are.

        Args:
            switch_weight: weight of the switches' KL term; 1 in the bound itself.

        Returns:
            The loss, −(objective + surrogate), of which only the gradient means something; and the parts, whose first
            one, `loss`, is the value of −objective.
        """
        objective = surrogate = self.decoder.log_alpha.new_zeros(())
        parts: dict[str, Tensor] = {}
        if batch.images is not None:
            objective, surrogate, parts = self._image_term(batch.images, batch.labels, switch_weight)
        if batch.labelled is not None:
            term, label_surrogate = self._label_term(batch.labelled)
            objective = objective + batch.labelled.weight * term
            surrogate = surrogate + label_surrogate
            parts["label_term"] = term.detach()
        if batch.marginalised is not None:
            term, label_surrogate = self._marginalised_term(batch.marginalised)
            objective = objective + batch.marginalised.weight * term
            surrogate = surrogate + label_surrogate
            parts["marginalised_term"] = term.detach()
        return -(objective + surrogate), {"loss": -objective.detach(), **parts}

    def _image_term(
        self, images: Tensor, labels: Tensor | None, switch_weight: float
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Returns the mean of the bound over images, the surrogate of its switches' gradient, and the bound's parts."""
        draws = self.estimator.draws
        images, encoding = self._encode_times(images, draws)
        switches = self._switches(encoding)
        labels = None if labels is None else labels.repeat(draws)
        bound = self._bound(images, encoding, switches, draws, labels)
        signals = self._signals(encoding, bound, switch_weight)
        costs = {i: switch_weight * p.kl for i, p in encoding.posteriors.items()} if self.reading == "shared" else {}
        surrogate = self.estimator.surrogate(IMAGES, images, switches, signals, costs)
        parts = {
            "elbo": bound.elbo.mean().detach(),
            "kl_code": bound.kl_code.mean().detach(),
            "kl_switches": bound.kl_switches.mean().detach(),
        }
        return bound.tempered(switch_weight).mean(), surrogate, parts

    def _label_code(self, encoding: Encoding, draws: int) -> Tensor:
        """Returns the code that the label model reads in training, [K_L, m, B]."""
        return encoding.sample(draws)

    def _label_term(self, labelled: Labelled) -> tuple[Tensor, Tensor]:
        """Returns (E[log p(y|s)] + log p(β)) per labelled image, and the surrogate of its switches' gradient."""

        def log_likelihood(code: Tensor, draws: int) -> Tensor:
            return self.label_model.log_likelihood(code, torch.cat([labelled.labels] * draws))

        term, surrogate = self._expected(LABELS, labelled.images, log_likelihood, labelled.weight)
        return term + self.label_model.log_prior() / labelled.total, surrogate

    def _marginalised_term(self, batch: Marginalised) -> tuple[Tensor, Tensor]:
        """Returns E[Σ_y r(y) log p(y|s)] per image, and the surrogate of its switches' gradient.

        r is the label where it is known; otherwise it is p(y | mean code), held fixed.

        Up to the entropy of r, which does not depend on the weights, this is the lower bound that expectation
        maximisation uses for log Σ_y p(y) p(y|s), the label marginalised under a uniform p(y). The bound is tight where
        r is the posterior at s. Here r comes from the unchanged image and s from its augmented view, so training makes
        the two agree.
        """
        classifier = self.classifier
        with torch.no_grad():
            guesses = classifier.probabilities(self.encode_by_expectation(batch.images).mean)
            certain = functional.one_hot(batch.labels.clamp(min=0), len(guesses)).T
            guesses = torch.where(batch.labels >= 0, certain, guesses)

        def log_likelihood(code: Tensor, draws: int) -> Tensor:
            return (guesses.repeat(1, draws) * classifier.log_likelihoods(code)).sum(0)

        return self._expected(MISSING, batch.views, log_likelihood, batch.weight)

    def _expected(
        self, source: str, images: Tensor, log_likelihood: Callable[[Tensor, int], Tensor], weight: float
    ) -> tuple[Tensor, Tensor]:
        """Returns E[log-likelihood] per image, and the surrogate of its switches' gradient.

        The switches have such a gradient under the shared reading, where the code is computed from the pooled maps.

        Args:
            log_likelihood: takes the codes of the images, repeated `draws` times, and `draws`.
        """
        draws = self.estimator.draws if self.reading == "shared" else 1
        images, encoding = self._encode_times(images, draws)
        likelihood = log_likelihood(self._label_code(encoding, draws), draws)
        signal = weight * likelihood.detach()
        surrogate = self.estimator.surrogate(source, images, encoding.drawn, dict.fromkeys(encoding.drawn, signal))
        return likelihood.mean(), surrogate

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Returns X̂ of the mean code and the expected switches, [B, N_c, H, W]."""
        encoding = self.encode_by_expectation(images)
        switches = {i: Switches(p.probabilities, drawn=False) for i, p in encoding.posteriors.items()}
        return self._decoded(encoding.mean, switches)

    def _decoded(self, code: Tensor, switches: Mapping[int, Switches]) -> Tensor:
        """Returns the images g + c S̃⁽¹⁾ of codes [K_L, m, B], [B, N_c, H, W]."""
        return self.standardisation.undo(self.decoder(code, switches).mean.permute(3, 0, 1, 2))

    def _prior_code(self, count: int) -> Tensor:
        """Draws s ~ N(0, I), [K_L, m, count]."""
        maps, side, _ = self.architecture.code_shape
        return torch.randn(maps, side * side, count, device=self.decoder.log_alpha.device)

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """Draws images from the prior, with z uniform and without pixel noise, [count, N_c, H, W]."""
        return self._decoded(self._prior_code(count), self.decoder.prior_switches(count))
