"""The caption model: its likelihood step by step, its start, its gradient, and its term in the bound."""

import math

import pytest
import torch

from data.labelled import text
from tests.vae.conftest import ONE_POOLING, TWO_POOLINGS, build
from tests.vae.test_estimators import COPIES, assert_unbiased, enumerated, estimated
from vae.architecture import TABLE2
from vae.caption_model import CELLS, END, PADDING, SPREAD, UNKNOWN, CaptionModel
from vae.decoder import Decoder
from vae.encoder import Encoder
from vae.estimators.contract import LABELS, estimator_named, sources_of
from vae.model import Batch, Labelled, VariationalAutoencoder
from vae.training import Trainer

WORDS = 7


def model_of(cell="gru", code_size=6, large=True, **options):
    torch.manual_seed(3)
    model = CaptionModel(code_size, WORDS, cell=cell, units=5, word_size=4, **options)
    if large:  # what is said first and later depends on everything
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
    return model


def captions_of(*rows):
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PADDING] * (longest - len(row))] for row in rows])


def test_numbers_are_those_of_the_data():
    assert (END, UNKNOWN) == (text.END, text.UNKNOWN)


def sigmoid(x):
    return 1 / (1 + (-x).exp())


def by_hand(model, cell, code, caption):
    """log p(Y|s) of one caption, the cells written out from their definitions."""
    wi, wh, bi, bh = (getattr(model.cell, f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    memory = model.start_weight @ code.flatten()
    h, total = memory.tanh(), torch.zeros(())
    for word in caption:
        total = total + torch.log_softmax(model.output.weight @ h + model.output.bias, 0)[word]
        x = model.words[word]
        if cell == "plain":
            h = (wi @ x + bi + wh @ h + bh).tanh()
        elif cell == "gru":
            (ri, zi, ni), (rh, zh, nh) = (wi @ x + bi).chunk(3), (wh @ h + bh).chunk(3)
            r, z = sigmoid(ri + rh), sigmoid(zi + zh)
            h = (1 - z) * (ni + r * nh).tanh() + z * h
        else:
            i, f, g, o = (wi @ x + bi + wh @ h + bh).chunk(4)
            memory = sigmoid(f) * memory + sigmoid(i) * g.tanh()
            h = sigmoid(o) * memory.tanh()
    return total


@pytest.mark.parametrize("cell", CELLS)
def test_likelihood_against_the_cells_definitions(cell):
    model = model_of(cell)
    code = torch.randn(2, 3, 3)
    rows = [(2, 5, 3, END), (END,), (6, UNKNOWN, END)]
    found = model.log_likelihood(code, captions_of(*rows))
    expected = torch.stack([by_hand(model, cell, code[..., i], row) for i, row in enumerate(rows)])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("cell", CELLS)
def test_word_by_word_says_the_same(cell):
    """`start`, `next_word` and `advance`, which generate captions, agree with the likelihood that is trained."""
    model = model_of(cell)
    code, captions = torch.randn(2, 3, 2), captions_of((4, 2, END), (3, 3, END))
    state, total = model.start(code), torch.zeros(2)
    for words in captions.T:
        total = total + model.next_word(state).gather(1, words[:, None])[:, 0]
        state = model.advance(state, words)
    torch.testing.assert_close(model.log_likelihood(code, captions), total)


@pytest.mark.parametrize("cell", CELLS)
def test_a_gpus_cells_are_given_a_state_as_they_want_it(cell):
    assert all(part[None].is_contiguous() for part in model_of(cell).start(torch.randn(2, 3, 4)))


def test_all_captions_together_are_certain():
    """Σ p(Y|s) over all captions of at most two words, and all longer beginnings, is one."""
    model = model_of().double()
    code = torch.randn(2, 3, 1, dtype=torch.double)
    sayable = range(1, WORDS)
    ended = [(END,), *((w, END) for w in sayable), *((w, v, END) for w in sayable for v in sayable)]
    going_on = [(w, v, u) for w in sayable for v in sayable for u in sayable]
    everything = ended + going_on
    found = model.log_likelihood(code.expand(-1, -1, len(everything)), captions_of(*everything))
    assert found.detach().exp().sum().item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("cell", CELLS)
def test_initialisation_is_section_2s(cell):
    model = model_of(cell, large=False)
    for gate in model.cell.weight_hh_l0.split(5):
        torch.testing.assert_close(gate @ gate.T, torch.eye(5), atol=1e-5, rtol=0)
    assert not any(parameter.any() for name, parameter in model.named_parameters() if "bias" in name)
    for weight in (model.start_weight, model.words, model.cell.weight_ih_l0, model.output.weight):
        assert 0.5 * SPREAD < weight.abs().max() <= SPREAD


def test_given_word_vectors_are_where_it_starts():
    vectors, known = torch.randn(WORDS, 4), torch.tensor([False, False, True, False, True, True, True])
    model = model_of(large=False, vectors=vectors, known=known)
    assert torch.equal(model.words[known], vectors[known])
    assert model.words[~known].abs().max() <= SPREAD


@pytest.mark.parametrize("cell", CELLS)
def test_gradient_against_finite_differences(cell):
    """The gradient of the caption term, with respect to the code and every weight."""
    model = model_of(cell).double()
    captions = captions_of((2, 5, END), (3, END))
    names, weights = zip(*model.named_parameters(), strict=True)

    def likelihood(code, *values):
        arguments = (code, captions)
        replaced = dict(zip(names, values, strict=True))
        return torch.func.functional_call(_Likelihood(model), {f"model.{n}": v for n, v in replaced.items()}, arguments)

    code = torch.randn(2, 3, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(likelihood, (code, *weights))


class _Likelihood(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, code, captions):
        return self.model.log_likelihood(code, captions)


def captioning(architecture, estimator, reading):
    """The tiny model of the other tests with a caption model in place of its label model."""
    model = build(architecture, estimator, reading)
    model.label_model = model_of(code_size=math.prod(architecture.code_shape))
    return model


class _Always:
    """A caption model with the interface that `enumerated` needs: every image has the same caption."""

    def __init__(self, model, caption):
        self.model, self.caption = model, caption

    def log_likelihood(self, code, labels):
        return self.model.log_likelihood(code, self.caption.expand(len(labels), -1))


@pytest.mark.parametrize("architecture", [ONE_POOLING, TWO_POOLINGS], ids=lambda a: a.name)
@pytest.mark.parametrize(
    ("estimator", "reading"), [("nvil", "shared"), ("rloo", "shared"), ("rloo", "factorised"), ("exact", "factorised")]
)
def test_gradient_of_the_caption_bound_is_the_enumerated_one(architecture, estimator, reading, fixed_noise):
    """Eq (1) for the encoder: under the shared reading the captions are part of the switches' learning signal."""
    model = captioning(architecture, estimator, reading)
    torch.manual_seed(11)
    image, weight, caption = torch.rand(1, 1, architecture.side, architecture.side), 0.2, captions_of((3, 5, END))
    captions = model.label_model
    model.label_model = _Asked(_Always(captions, caption))
    exact = enumerated(model, image, fixed_noise, label=0, weight=weight)
    model.label_model = captions
    copies = COPIES // model.estimator.draws
    labelled = Labelled(image.expand(copies, -1, -1, -1).contiguous(), caption.expand(copies, -1), 10, weight)
    mean, error = estimated(model, image, labelled)
    assert_unbiased(exact, mean, error)


class _Asked(torch.nn.Module):
    def __init__(self, asked):
        super().__init__()
        self.log_likelihood = asked.log_likelihood


def table2_captioner(name, reading="factorised", estimator="exact"):
    architecture = TABLE2[name]
    torch.manual_seed(0)
    return VariationalAutoencoder(
        architecture,
        Encoder(architecture, "relu", switch_hidden=4, code_hidden=4),
        Decoder(architecture, log_alpha=2.0),
        CaptionModel(math.prod(architecture.code_shape), 50),
        estimator_named(estimator)(architecture, sources_of(reading, (LABELS,))),
        reading,
    )


@pytest.mark.parametrize(("estimator", "reading"), [("exact", "factorised"), ("nvil", "shared")])
def test_training_learns_captions(estimator, reading):
    """Bright pictures are "2 3", dark ones "4"; after a few steps each is more likely than the other."""
    model = table2_captioner("mnist", reading, estimator)
    images = torch.cat([0.1 * torch.rand(8, 1, 28, 28), 0.6 + 0.4 * torch.rand(8, 1, 28, 28)])
    captions = torch.cat([captions_of((4, END, PADDING)).expand(8, -1), captions_of((2, 3, END)).expand(8, -1)])
    rates = {"learning_rate": 3e-3, "noise_learning_rate": 0.01, "label_learning_rate": 5e-3}
    trainer = Trainer(model, total_steps=60, **rates, warmup=0.1, switch_warmup=0.0, weight_decay=0.0, clip=1e9)
    for _ in range(60):
        parts = trainer.step(Batch(images, Labelled(images, captions, 16, 100.0)))
    assert parts["label_term"] > -0.5
    model.eval()
    code = model.encoder(images).mean
    right, wrong = (
        model.label_model.log_likelihood(code, captions),
        model.label_model.log_likelihood(code, captions.flip(0)),
    )
    assert (right > wrong).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flickr8k", "flickr30k", "coco"])
def test_every_captioning_row_of_table_2_takes_a_step(name):
    model = table2_captioner(name)
    images = torch.rand(2, 3, 256, 256)
    rates = {"learning_rate": 1e-3, "noise_learning_rate": 1e-3}
    trainer = Trainer(model, total_steps=2, **rates, warmup=0.0, switch_warmup=0.0, weight_decay=0.0, clip=1e9)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    parts = trainer.step(Batch(images, Labelled(images, captions_of((7, 8, END), (9, END)), 2, 1.0)))
    assert torch.isfinite(parts["loss"])
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert {key.split(".")[0] for key in moved} >= {"encoder", "decoder", "label_model"}
