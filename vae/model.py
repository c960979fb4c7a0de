"""The whole model: encoder, decoder, label model and estimator, and the objective that trains them."""

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
from vae.estimators.contract import Estimator
from vae.labels import LabelModel
from vae.objective import Bound, gaussian_log_likelihood, kl_code
from vae.pooling import Switches

READINGS = ("factorised", "shared")


@dataclass(frozen=True)
class Labelled:
    """Labelled images for one step: `images` [B', N_c, H, W], `labels` [B'], or captions [B', L] for a caption model,
    both a sample of `total` labelled images; `weight` is ξ·ρ, the label term's weight against the bound *per image*."""

    images: Tensor
    labels: Tensor
    total: int
    weight: float


@dataclass(frozen=True)
class Marginalised:
    """Images for one step whose labels are marginalised where they are missing: `images` [B', N_c, H, W] as they are,
    from which a label is guessed, changed `views` of the same, on which it is learned, and `labels` [B'], −1 where
    missing; `weight` as for the label term."""

    images: Tensor
    views: Tensor
    labels: Tensor
    weight: float


@dataclass(frozen=True)
class Batch:
    """What one step learns from: `images` [B, N_c, H, W] for the bound; `labelled` ones for the label term, None
    where labels have no part (ξ = 0); `marginalised` ones, None where missing labels have no part. `labels` [B] are
    those of `images`, −1 where missing, for a model whose bound depends on them."""

    images: Tensor
    labelled: Labelled | None = None
    marginalised: Marginalised | None = None
    labels: Tensor | None = None

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> Batch:
        """The batch of its fields by name, those of `labelled` and `marginalised` by name in turn."""
        kinds = {"labelled": Labelled, "marginalised": Marginalised}
        return cls(**{name: kinds[name](**part) if name in kinds else part for name, part in parts.items()})


class VariationalAutoencoder(nn.Module):
    """p(X | s, z), q(s, z | X) and p(y | s), or p(Y | s) of captions, in one.

    Args:
        reading: of q, "factorised" (eq (5) as written: q(s|X) q(z|X), the encoder pools by expectation) or
            "shared" (the switches that pool the encoder's maps are the ones that the decoder unpools with).

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
        self.encoder = encoder
        self.decoder = decoder
        self.label_model = label_model
        self.estimator = estimator
        self.reading = reading

    def encode(self, images: Tensor) -> Encoding:
        """q(s, z | X) of images [B, N_c, H, W], under the model's reading."""
        return self.encoder(images, self.estimator.switches if self.reading == "shared" else None)

    def _switches(self, encoding: Encoding) -> Mapping[int, Switches]:
        """What the decoder unpools with: the encoder's own draws (shared) or fresh ones (factorised)."""
        if self.reading == "shared":
            return encoding.drawn
        return {layer: self.estimator.switches(posterior, layer) for layer, posterior in encoding.posteriors.items()}

    def _encode_times(self, images: Tensor, times: int) -> tuple[Tensor, Encoding]:
        """Images and their encodings `times` over; the encoder runs once where it draws nothing."""
        repeated = images.repeat(times, 1, 1, 1)
        if self.reading == "shared":
            return repeated, self.encode(repeated)
        return repeated, self.encode(images).repeated(times)

    def _kl_code(self, encoding: Encoding, labels: Tensor | None) -> Tensor:
        """KL(q(s|X) ‖ p(s)), [B]; `labels` [B] of the images, where they are to be used, −1 where missing."""
        return kl_code(encoding.mean, encoding.log_sigma)

    def _bound(
        self,
        images: Tensor,
        encoding: Encoding,
        switches: Mapping[int, Switches],
        times: int = 1,
        labels: Tensor | None = None,
    ) -> Bound:
        error = self.decoder(encoding.sample(times), switches).squared_error(images)
        return Bound(
            gaussian_log_likelihood(error, self.decoder.log_alpha, self.architecture.values),
            self._kl_code(encoding, labels),
            sum((posterior.kl for posterior in encoding.posteriors.values()), error.new_zeros(error.shape)),
        )

    def bound(self, images: Tensor) -> Bound:
        """The lower bound of log p(X), eq (5) without its label term, estimated from one draw; images
        [B, N_c, H, W]."""
        encoding = self.encode(images)
        return self._bound(images, encoding, self._switches(encoding))

    def _signals(self, encoding: Encoding, bound: Bound, switch_weight: float) -> dict[int, Tensor]:
        """What each layer's draws influence, [B]: NVIL's local signals.

        The categorical KLs are in closed form, so a layer's own is no part of its signal. Factorised draws
        reach the reconstruction alone; shared ones also all that the encoder computed from the pooled maps.
        """
        signals, downstream = {}, bound.log_likelihood.detach()
        if self.reading == "shared":
            downstream = downstream - bound.kl_code.detach()
        for layer in reversed(encoding.posteriors):
            signals[layer] = downstream
            if self.reading == "shared":
                downstream = downstream - switch_weight * encoding.posteriors[layer].kl.detach()
        return signals

    def loss(self, batch: Batch, switch_weight: float = 1.0) -> tuple[Tensor, dict[str, Tensor]]:
        """−(the objective per image), eq (18), to be differentiated; and its parts, detached scalars, the first
        of them `loss`, its value.

        E over all images of the bound, plus ξ·ρ times the mean label term over labelled images, is the
        paper's sum over images divided by their number. The labelled images are a sample of their own, so
        that each step sees some however few there are.

        Args:
            switch_weight: of the switches' KL term, 1 in the bound itself.
        """
        draws = self.estimator.draws
        images, encoding = self._encode_times(batch.images, draws)
        switches = self._switches(encoding)
        labels = None if batch.labels is None else batch.labels.repeat(draws)
        bound = self._bound(images, encoding, switches, draws, labels)
        signals = self._signals(encoding, bound, switch_weight)
        surrogate = self.estimator.surrogate("images", images, switches, signals)
        objective = bound.tempered(switch_weight).mean()
        parts = {
            "elbo": bound.elbo.mean().detach(),
            "kl_code": bound.kl_code.mean().detach(),
            "kl_switches": bound.kl_switches.mean().detach(),
        }
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
        # A surrogate's value means nothing, only its gradient does.
        return -(objective + surrogate), {"loss": -objective.detach(), **parts}

    def _label_code(self, encoding: Encoding, draws: int) -> Tensor:
        """The code that the label model reads while it learns, [K_L, m, B]."""
        return encoding.sample(draws)

    def _label_term(self, labelled: Labelled) -> tuple[Tensor, Tensor]:
        """(E[log p(y|s)] + log p(β)) per labelled image, and its switches' surrogate."""

        def log_likelihood(code: Tensor, draws: int) -> Tensor:
            return self.label_model.log_likelihood(code, torch.cat([labelled.labels] * draws))

        term, surrogate = self._expected("labels", labelled.images, log_likelihood, labelled.weight)
        return term + self.label_model.log_prior() / labelled.total, surrogate

    def _marginalised_term(self, batch: Marginalised) -> tuple[Tensor, Tensor]:
        """E[Σ_y r(y) log p(y|s)] per image, r the label where it is known and otherwise p(y | mean code), held fixed;
        and its switches' surrogate.

        With the entropy of r, which does not depend on the weights, this is expectation maximisation's lower bound
        of log Σ_y p(y) p(y|s), the label marginalised under a uniform p(y); the bound is tight where r is the
        posterior at s. Here r comes from the image as it is and s from its changed view, so that both have to agree.
        """
        with torch.no_grad():
            guesses = self.label_model.probabilities(self.encoder(batch.images).mean)
            certain = functional.one_hot(batch.labels.clamp(min=0), len(guesses)).T
            guesses = torch.where(batch.labels >= 0, certain, guesses)

        def log_likelihood(code: Tensor, draws: int) -> Tensor:
            return (guesses.repeat(1, draws) * self.label_model.log_likelihoods(code)).sum(0)

        return self._expected("missing", batch.views, log_likelihood, batch.weight)

    def _expected(
        self, source: str, images: Tensor, log_likelihood: Callable[[Tensor, int], Tensor], weight: float
    ) -> tuple[Tensor, Tensor]:
        """E[log-likelihood] per image, and the surrogate of its switches' gradient, which they have under the shared
        reading: the code was computed from the pooled maps. `log_likelihood` is given the images' codes, `draws` times
        over, and that number."""
        draws = self.estimator.draws if self.reading == "shared" else 1
        images, encoding = self._encode_times(images, draws)
        likelihood = log_likelihood(self._label_code(encoding, draws), draws)
        signal = weight * likelihood.detach()
        surrogate = self.estimator.surrogate(source, images, encoding.drawn, dict.fromkeys(encoding.drawn, signal))
        return likelihood.mean(), surrogate

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """X̂ of the mean code and the expected switches, [B, N_c, H, W]."""
        encoding = self.encoder(images)
        switches = {i: Switches(p.probabilities, drawn=False) for i, p in encoding.posteriors.items()}
        return self.decoder(encoding.mean, switches).mean.permute(3, 0, 1, 2)

    def _prior_code(self, count: int) -> Tensor:
        """s ~ N(0, I), [K_L, m, count]."""
        maps, side, _ = self.architecture.code_shape
        return torch.randn(maps, side * side, count, device=self.decoder.log_alpha.device)

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """Images of the prior, without pixel noise, z uniform, [count, N_c, H, W]."""
        return self.decoder(self._prior_code(count), self.decoder.prior_switches(count)).mean.permute(3, 0, 1, 2)
