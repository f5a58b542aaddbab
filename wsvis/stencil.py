"""Symmetric sparse matrices on grids: each cell is linked to the cells at a few fixed offsets.

The random walk and the dense CRF multiply by such matrices again and again. Offsets are moves in
the half plane (each link once); on a flattened grid a move is a shift, the same for every cell.

Legend: F frames, K channels, n cells of the flattened grid, P offsets.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor


def link_degrees(links: Float[Tensor, "f p n"], shifts: Sequence[int]) -> Float64[Tensor, "f n"]:
    """Sum of each row without its diagonal, in float64 (in float32 long walks drift)."""
    degree = links.sum(1, dtype=torch.float64)
    for p, shift in enumerate(shifts):
        degree[:, shift:] += links[:, p, : links.shape[2] - shift]
    return degree


class Stencil:
    """Symmetric matrices, one per frame: entry (i, i + shift_p) is ``links[p, i]``, and mirrored.

    A link that would leave the grid must have weight 0; where its shift points then is no matter.
    Multiplies by the library's compressed sparse rows, or by shifted slices on a processor whose
    torch has no sparse library.

    Args:
        diagonal: entry (i, i).
        links: by offset and cell.
        shifts: dy w + dx of each offset; 0 < shift < n, so offsets have dy < h and |dx| < w.
    """

    def __init__(
        self,
        diagonal: Float[Tensor, "f n"],
        links: Float[Tensor, "f p n"],
        shifts: Sequence[int],
    ) -> None:
        self.frames, _, self.cells = links.shape
        self.diagonal = diagonal
        self.links = [(s, links[:, p, : self.cells - s]) for p, s in enumerate(shifts)]
        sparse = links.device.type != "cpu" or torch.backends.mkl.is_available()
        self._matrix = self._sparse_matrix() if sparse else None

    def pack(self, x: Float[Tensor, "f k n"]) -> Tensor:
        """``x`` in the order of memory in which this matrix multiplies (always a copy)."""
        if self._matrix is None:
            return x.clone()
        # Rows of 4 k numbers suit the vector units.
        rows = x.new_zeros((self.frames, self.cells, -(-x.shape[1] // 4) * 4))
        rows[..., : x.shape[1]] = x.transpose(1, 2)
        return rows.flatten(0, 1)

    def unpack(self, packed: Tensor, channels: int) -> Float[Tensor, "f k n"]:
        """The inverse of :meth:`pack` (a view)."""
        if self._matrix is None:
            return packed
        return packed.view(self.frames, self.cells, -1)[..., :channels].transpose(1, 2)

    def multiply(self, y: Tensor, x: Tensor, *, beta: float, alpha: float) -> Tensor:
        """Y <- beta y + alpha S x, in place, both packed; with beta = 0 whatever y held is gone."""
        if self._matrix is not None:
            return torch.addmm(y, self._matrix, x, beta=beta, alpha=alpha, out=y)
        y = y.mul_(beta) if beta else y.zero_()  # memory nobody wrote can hold NaN
        y.addcmul_(x, self.diagonal.unsqueeze(1), value=alpha)
        for shift, link in self.links:
            weight, cells = link.unsqueeze(1), self.cells
            y[..., : cells - shift].addcmul_(x[..., shift:], weight, value=alpha)
            y[..., shift:].addcmul_(x[..., : cells - shift], weight, value=alpha)
        return y

    def _sparse_matrix(self) -> Tensor:
        """The frames as blocks of one matrix in compressed sparse rows, columns ascending."""
        device, number = self.diagonal.device, len(self.links)
        ordered = sorted(self.links, key=lambda item: item[0])
        values = self.diagonal.new_zeros((self.frames, 2 * number + 1, self.cells))
        values[:, number] = self.diagonal
        for p, (shift, link) in enumerate(ordered):
            values[:, number + 1 + p, : self.cells - shift] = link
            values[:, number - 1 - p, shift:] = link
        right = torch.tensor([s for s, _ in ordered], dtype=torch.int32, device=device)
        moves = torch.cat([-right.flip(0), right.new_zeros(1), right])
        inside = torch.arange(self.cells, dtype=torch.int32, device=device)[:, None] + moves
        first = torch.arange(self.frames, dtype=torch.int32, device=device) * self.cells
        columns = inside.clamp_(0, self.cells - 1) + first.view(-1, 1, 1)
        rows, entries = self.frames * self.cells, values.shape[1]
        starts = torch.arange(0, rows * entries + 1, entries, dtype=torch.int32, device=device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            return torch.sparse_csr_tensor(
                starts,
                columns.flatten(),
                values.transpose(1, 2).flatten(),
                size=(rows, rows),
                check_invariants=False,
            )


def frames_at_once(device: torch.device, offsets: int, cells: int) -> int:
    """How many frames to put into one :class:`Stencil`.

    One frame at a time stays in a processor's cache; an accelerator wants many, within 2^27 matrix
    entries (1 GiB).
    """
    if device.type == "cpu":
        return 1
    return max(2**27 // ((2 * offsets + 1) * cells), 1)
