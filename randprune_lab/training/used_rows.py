"""Word embeddings of which a training changes only the rows that its data uses.

The other rows have no gradient, and so no moments: AdamW only decays them. In a model with MiniLM's vocabulary they are
half of all weights, and clipping and the optimizer's steps pass over them for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from randprune_lab.errors import ConfigError
from randprune_lab.masks.wrappers import unwrapped
from randprune_lab.training.compact import Compact
from randprune_lab.training.data import Encoded


class UsedRows(Compact):
    """The rows of an embedding that a training uses.

    The rest is kept as it was at first, beside the product of its factors of decay, so that the result does not depend
    on when it is read. In evaluation mode all rows can be looked up.

    Args:
        name: the name of the whole parameter in the model.
        layer: the embedding.
        ids: the rows, in ascending order.
    """

    layer: nn.Embedding

    def __init__(self, name: str, layer: nn.Embedding, ids: Int64[Tensor, " rows"]):
        device = layer.weight.device
        self.ids, self.place = ids.to(device), torch.full((layer.num_embeddings,), len(ids), device=device)
        self.place[self.ids] = torch.arange(len(ids), device=device)
        self.padding = None if layer.padding_idx is None else ids.tolist().index(layer.padding_idx)
        super().__init__(name, layer, layer.weight.detach()[self.ids])
        self._rest, self.factor = self.whole.detach().clone(), 1.0

    def decay(self, factor: float) -> None:
        """Multiply the rest by a factor, as a step of AdamW does."""
        self.factor *= factor

    def spread(self, values: Float[Tensor, "rows d"]) -> Float[Tensor, "all d"]:
        return torch.zeros_like(self._rest, dtype=values.dtype).index_copy_(0, self.ids, values.detach())

    def at_first(self) -> Float[Tensor, "all d"]:
        return self._rest.index_copy(0, self.ids, self.small.detach())

    def now(self) -> Float[Tensor, "all d"]:
        return (self._rest * self.factor).index_copy_(0, self.ids, self.small.detach())

    @torch.no_grad()
    def read(self, factor: float) -> None:
        self._rest.copy_(self.whole)
        self.small.copy_(self.whole[self.ids])
        self.factor = factor
        self.whole.copy_(self.now())

    def forward(self, given: Int64[Tensor, "*shape"]) -> Float[Tensor, "*shape d"]:
        """The rows of these ids; in training mode all of them must be among the used ones."""
        place = self.place[given]
        if self.layer.training:
            try:
                return F.embedding(place, self.small, self.padding)
            except IndexError as error:
                raise ConfigError(
                    f"the model looks up rows of {self.name!r} that are not tokens of the train set; train with "
                    "vocabulary='whole' (--vocabulary whole)"
                ) from error
        used = (place < len(self.small)).unsqueeze(-1)
        decayed = F.embedding(given, self._rest) * self.factor
        return torch.where(used, F.embedding(place.clamp(max=len(self.small) - 1), self.small), decayed)


def find_used_rows(model: nn.Module, data: Encoded, pruned: Collection[str] = ()) -> UsedRows | None:
    """The rows of a model's word embeddings that a train set uses; None where all are trained.

    That is so if the embeddings are tied to another layer, frozen, pruned, in half precision, of a class of their own,
    or inside a wrapper, and if all rows are used.
    """
    if unwrapped(model) is not model:
        return None
    try:
        get: Callable[[], Any] = model.get_input_embeddings  # type: ignore[assignment]
        layer = get()
    except (AttributeError, NotImplementedError):
        return None
    names = [f"{name}.weight" for name, module in model.named_modules(remove_duplicate=False) if module is layer]
    if len(names) != 1 or names[0] in pruned or not _is_plain(layer):
        return None
    if sum(weight is layer.weight for _, weight in model.named_parameters(remove_duplicate=False)) > 1:
        return None
    ids = data.numbers[data.numbers < layer.num_embeddings]
    if layer.padding_idx is not None:
        ids = sorted({*ids.tolist(), layer.padding_idx})
    return UsedRows(names[0], layer, torch.as_tensor(ids)) if len(ids) < layer.num_embeddings else None


def _is_plain(layer: Any) -> bool:
    """Whether a layer is an embedding whose rows are looked up, trained, and nothing else."""
    if type(layer) is not nn.Embedding or "weight" not in layer._parameters:
        return False
    special = layer.sparse or layer.scale_grad_by_freq or layer.max_norm is not None
    return layer.weight.requires_grad and layer.weight.dtype in (torch.float32, torch.float64) and not special
