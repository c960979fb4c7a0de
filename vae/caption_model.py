"""The caption model p(Y | s): a recurrent network that generates a caption word by word.

Equations (1)–(5) and section 2 of the supplement of Pu et al. (2016). s is the code of an image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

END, UNKNOWN = 0, 1  # word numbers: the end of a caption, and every word outside the vocabulary
PADDING = -1  # fills the positions after a caption's end
SPREAD = 0.01  # weights that are not recurrent start uniform in ± this, section 2
CELLS: dict[str, type[nn.GRU] | type[nn.LSTM] | type[nn.RNN]] = {"gru": nn.GRU, "lstm": nn.LSTM, "plain": nn.RNN}
State = tuple[Tensor, ...]  # of the cell, each part [B, units]: h, and c for an LSTM


class CaptionModel(nn.Module):
    """h₁ = tanh(C s), p(y₁ | s) = softmax(V h₁), h_t = cell(w_{t−1}, h_{t−1}), p(y_t | y_{<t}, s) = softmax(V h_t).

    w_t is the vector of word y_t. An LSTM's memory starts at c₁ = C s, so that h₁ is what a fully open output gate
    would let through. The GRU is PyTorch's: it applies the reset gate after the recurrent product (Cho et al. 2014
    apply it before).

    Args:
        code_size: values in a code.
        words: size of the vocabulary, END and UNKNOWN included.
        cell: a key of `CELLS`.
        units: size of the state h.
        word_size: values in a word vector; must be that of `vectors` where they are given.
        dropout: share of the values of word vectors and of states that is dropped, in training only.
        vectors: word vectors [words, word_size] to start from.
        known: bool [words], the words that `vectors` has; all others are initialised as other weights are.
    """

    def __init__(
        self,
        code_size: int,
        words: int,
        *,
        cell: str = "gru",
        units: int = 512,
        word_size: int = 300,
        dropout: float = 0.0,
        vectors: Tensor | None = None,
        known: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.start_weight = nn.Parameter(torch.empty(units, code_size))  # C
        self.words = nn.Parameter(torch.empty(words, word_size))
        self.cell = CELLS[cell](word_size, units, batch_first=True)
        self.output = nn.Linear(units, words)  # V
        self.dropout = nn.Dropout(dropout)
        self._initialise()
        if vectors is not None and known is not None:
            with torch.no_grad():
                self.words[known] = vectors[known].to(self.words)

    @torch.no_grad()
    def _initialise(self) -> None:
        """Initialises as section 2 does: recurrent matrices orthogonal (gate by gate), others in ± SPREAD, biases 0."""
        for name, parameter in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            elif name == "cell.weight_hh_l0":
                for gate in parameter.split(parameter.shape[1]):
                    nn.init.orthogonal_(gate)
            else:
                nn.init.uniform_(parameter, -SPREAD, SPREAD)

    def start(self, code: Tensor) -> State:
        """Returns the state before the first word for codes [K_L, m, B]."""
        projected = (self.start_weight @ code.flatten(0, 1)).T.contiguous()  # cuDNN's cells need contiguous states
        return (projected.tanh(), projected) if isinstance(self.cell, nn.LSTM) else (projected.tanh(),)

    def next_word(self, state: State) -> Tensor:
        """Returns log p(y_t | y_{<t}, s) of every word, [B, words]."""
        return self.output(self.dropout(state[0])).log_softmax(-1)

    def advance(self, state: State, words: Tensor) -> State:
        """Returns the state after one more word each, [B]."""
        _, after = self._run(state, words[:, None])
        return after

    def _run(self, state: State, words: Tensor) -> tuple[Tensor, State]:
        """Runs the cell over words [B, L]; returns h after each, [B, L, units], and the last state."""
        layered = tuple(each[None] for each in state)  # PyTorch's cells have a leading dimension for layers
        lstm = isinstance(self.cell, nn.LSTM)
        outputs, last = self.cell(self.dropout(self.words[words]), layered if lstm else layered[0])
        return outputs, tuple(each[0] for each in (last if lstm else (last,)))

    def word_log_likelihoods(self, code: Tensor, captions: Tensor) -> Tensor:
        """Returns log p(y_t | y_{<t}, s) of each word, [B, L] in nats, 0 at padding.

        Args:
            code: [K_L, m, B].
            captions: [B, L], each ending with END, followed by PADDING.
        """
        state = self.start(code)
        read, _ = self._run(state, captions[:, :-1].clamp(min=END))
        hidden = torch.cat([state[0][:, None], read], 1)
        is_word = captions != PADDING
        # Padding is left out before the product with V, which is large: a vocabulary has thousands of words.
        scores = self.output(self.dropout(hidden[is_word]))
        log_likelihoods = -nn.functional.cross_entropy(scores, captions[is_word], reduction="none")
        return log_likelihoods.new_zeros(captions.shape).masked_scatter(is_word, log_likelihoods)

    def log_likelihood(self, code: Tensor, captions: Tensor) -> Tensor:
        """Returns log p(Y | s), [B], of codes [K_L, m, B] and captions [B, L]: the term of eq (1) that ξ weighs."""
        return self.word_log_likelihoods(code, captions).sum(1)

    def log_prior(self) -> Tensor:
        """Returns 0: the weights have no prior. A label model returns log p(β) here."""
        return self.output.bias.new_zeros(())
