"""The whole model: encoder, decoder, label model and estimator, and the objective that trains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vae.architecture import Architecture
from vae.decoder import Decoder
from vae.encoder import Encoder, Encoding
from vae.estimators.contract import Estimator
from vae.labels import LabelModel
from vae.objective import Bound, gaussian_log_likelihood, kl_code
from vae.pooling import Switches

READINGS = ("factorised", "shared")


@dataclass(frozen=True)
class Labelled:
    """Labelled images for one step: `images` [B', N_c, H, W], `labels` [B'], both a sample of `total` labelled
    images; `weight` is ξ·ρ, the label term's weight against the bound *per image*."""

    images: Tensor
    labels: Tensor
    total: int
    weight: float


class VariationalAutoencoder(nn.Module):
    """p(X | s, z), q(s, z | X) and p(y | s) in one.

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
        label_model: LabelModel,
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

    def _bound(self, images: Tensor, encoding: Encoding, switches: Mapping[int, Switches], times: int = 1) -> Bound:
        error = self.decoder(encoding.sample(times), switches).squared_error(images)
        return Bound(
            gaussian_log_likelihood(error, self.decoder.log_alpha, self.architecture.values),
            kl_code(encoding.mean, encoding.log_sigma),
            sum((posterior.kl for posterior in encoding.posteriors.values()), error.new_zeros(error.shape)),
        )

    def bound(self, images: Tensor) -> Bound:
        """The lower bound of log p(X), eq (5) without its label term, estimated from one draw; images
        [B, N_c, H, W]."""
        encoding = self.encode(images)
        return self._bound(images, encoding, self._switches(encoding))

    def _signals(self, encoding: Encoding, bound: Bound) -> dict[int, Tensor]:
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
                downstream = downstream - encoding.posteriors[layer].kl.detach()
        return signals

    def loss(self, images: Tensor, labelled: Labelled | None) -> tuple[Tensor, dict[str, Tensor]]:
        """−(the objective per image), eq (18), to be differentiated; and its parts, detached scalars, the first
        of them `loss`, its value.

        E over all images of the bound, plus ξ·ρ times the mean label term over labelled images, is the
        paper's sum over images divided by their number. The labelled images are a sample of their own, so
        that each step sees some however few there are.

        Args:
            images: [B, N_c, H, W], without labels.
            labelled: None where the labels have no part (ξ = 0).
        """
        images, encoding = self._encode_times(images, self.estimator.draws)
        switches = self._switches(encoding)
        bound = self._bound(images, encoding, switches, self.estimator.draws)
        surrogate = self.estimator.surrogate("images", images, switches, self._signals(encoding, bound))
        objective = bound.elbo.mean()
        parts = {
            "elbo": objective.detach(),
            "kl_code": bound.kl_code.mean().detach(),
            "kl_switches": bound.kl_switches.mean().detach(),
        }
        if labelled is not None:
            term, label_surrogate = self._label_term(labelled)
            objective = objective + labelled.weight * term
            surrogate = surrogate + label_surrogate
            parts["label_term"] = term.detach()
        # A surrogate's value means nothing, only its gradient does.
        return -(objective + surrogate), {"loss": -objective.detach(), **parts}

    def _label_term(self, labelled: Labelled) -> tuple[Tensor, Tensor]:
        """(E[log p(y|s)] + log p(β)) per labelled image, and the surrogate of its switches' gradient, which
        they have under the shared reading: the code was computed from the pooled maps."""
        draws = self.estimator.draws if self.reading == "shared" else 1
        images, encoding = self._encode_times(labelled.images, draws)
        likelihood = self.label_model.log_likelihood(encoding.sample(draws), labelled.labels.repeat(draws))
        signal = labelled.weight * likelihood.detach()
        surrogate = self.estimator.surrogate("labels", images, encoding.drawn, dict.fromkeys(encoding.drawn, signal))
        return likelihood.mean() + self.label_model.log_prior() / labelled.total, surrogate

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """X̂ of the mean code and the expected switches, [B, N_c, H, W]."""
        encoding = self.encoder(images)
        switches = {i: Switches(p.probabilities, drawn=False) for i, p in encoding.posteriors.items()}
        return self.decoder(encoding.mean, switches).mean.permute(3, 0, 1, 2)

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """Images of the prior, without pixel noise: s ~ N(0, I), z uniform, [count, N_c, H, W]."""
        maps, side, _ = self.architecture.code_shape
        code = torch.randn(maps, side * side, count, device=self.decoder.log_alpha.device)
        return self.decoder(code, self.decoder.prior_switches(count)).mean.permute(3, 0, 1, 2)
