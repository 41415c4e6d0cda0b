"""Long short-term memory from the textbook's equations, one step after the other."""

import torch
from torch import Tensor, nn


class TextbookLstm(nn.Module):
    """Hochreiter & Schmidhuber's cell with a forget gate; weights named and stacked as nn.LSTM's.

    i, f, o = sigmoid(W x + U h + b), g = tanh(W x + U h + b); c = f c + i g; h = o tanh(c).
    """

    def __init__(self, features: int, units: int) -> None:
        super().__init__()
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * units, features))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * units, units))
        self.bias_ih_l0 = nn.Parameter(torch.empty(4 * units))
        self.bias_hh_l0 = nn.Parameter(torch.empty(4 * units))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        units = self.weight_hh_l0.shape[1]
        hidden = cell = x.new_zeros(x.shape[0], units)
        sequence = []
        for step in x.unbind(1):
            from_input = step @ self.weight_ih_l0.T + self.bias_ih_l0
            gates = from_input + hidden @ self.weight_hh_l0.T + self.bias_hh_l0
            enter, forget, candidate, leave = torch.chunk(gates, 4, dim=1)
            cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
            hidden = leave.sigmoid() * cell.tanh()
            sequence.append(hidden)
        return torch.stack(sequence, 1), hidden
