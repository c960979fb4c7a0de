"""The caption model p(Y | s): a recurrent network that says a caption word by word, eqs (1)–(5) and section 2."""

from __future__ import annotations

import torch
from torch import Tensor, nn

END, UNKNOWN = 0, 1  # the numbers of a caption's end and of every word outside the vocabulary
PADDING = -1  # behind a caption's end, where captions of several lengths lie in one tensor
SPREAD = 0.01  # weights that are not recurrent start evenly spread between ± this, section 2
CELLS: dict[str, type[nn.RNNBase]] = {"gru": nn.GRU, "lstm": nn.LSTM, "plain": nn.RNN}
State = tuple[Tensor, ...]  # what a cell remembers, each [B, units]: h, and c where it is an LSTM's


class CaptionModel(nn.Module):
    """h₁ = tanh(C s), p(y₁ | s) = softmax(V h₁), h_t = cell(w_{t−1}, h_{t−1}), p(y_t | y_{<t}, s) = softmax(V h_t).

    An LSTM's memory starts at c₁ = C s, so that h₁ is what an open output gate lets through. The GRU is PyTorch's,
    which resets what the state's own product has become (Cho et al. 2014 reset the state before it).

    Args:
        code_size: values in a code.
        words: in the vocabulary, END and UNKNOWN among them.
        cell: a key of `CELLS`.
        units: in a state.
        word_size: values in a word's vector; that of `vectors`, where there are any.
        dropout: share of a word vector's and of a state's values that is left out, each in training alone.
        vectors: word vectors [words, word_size] to start from, and which words `known` [words] have one; the others
            are drawn as all weights are.
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
        """Section 2: recurrent matrices orthogonal (each gate's by itself), other weights within ± SPREAD, biases 0."""
        for name, parameter in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            elif name == "cell.weight_hh_l0":
                for gate in parameter.split(parameter.shape[1]):
                    nn.init.orthogonal_(gate)
            else:
                nn.init.uniform_(parameter, -SPREAD, SPREAD)

    def start(self, code: Tensor) -> State:
        """The state before the first word, of codes [K_L, m, B]."""
        summed = (self.start_weight @ code.flatten(0, 1)).T.contiguous()  # cuDNN's cells take no other
        return (summed.tanh(), summed) if isinstance(self.cell, nn.LSTM) else (summed.tanh(),)

    def next_word(self, state: State) -> Tensor:
        """log p(y_t | y_{<t}, s), [B, words]."""
        return self.output(self.dropout(state[0])).log_softmax(-1)

    def advance(self, state: State, words: Tensor) -> State:
        """The state after one more word each, [B]."""
        _, after = self._run(state, words[:, None])
        return after

    def _run(self, state: State, words: Tensor) -> tuple[Tensor, State]:
        """The cell over words [B, L]: h behind each, [B, L, units], and its last state."""
        layered = tuple(each[None] for each in state)  # PyTorch's cells count layers first
        lstm = isinstance(self.cell, nn.LSTM)
        outputs, last = self.cell(self.dropout(self.words[words]), layered if lstm else layered[0])
        return outputs, tuple(each[0] for each in (last if lstm else (last,)))

    def word_log_likelihoods(self, code: Tensor, captions: Tensor) -> Tensor:
        """log p(y_t | y_{<t}, s) of each word of captions [B, L], which end with END and PADDING behind it; 0 there.

        Codes are [K_L, m, B]; the result is [B, L], in nats.
        """
        state = self.start(code)
        read, _ = self._run(state, captions[:, :-1].clamp(min=END))
        hidden = torch.cat([state[0][:, None], read], 1)
        said = captions != PADDING
        # Only where something is said: a vocabulary of thousands of words makes all other products a waste.
        scores = self.output(self.dropout(hidden[said]))
        found = -nn.functional.cross_entropy(scores, captions[said], reduction="none")
        return found.new_zeros(captions.shape).masked_scatter(said, found)

    def log_likelihood(self, code: Tensor, captions: Tensor) -> Tensor:
        """log p(Y | s), [B], of codes [K_L, m, B] and captions [B, L]: the term of eq (1) that ξ weighs."""
        return self.word_log_likelihoods(code, captions).sum(1)

    def log_prior(self) -> Tensor:
        """Weights have no prior: 0, as a label model would say it."""
        return self.output.bias.new_zeros(())
