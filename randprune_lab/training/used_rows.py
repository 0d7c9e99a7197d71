"""Word embeddings of which a training changes only the rows that its data uses.

The other rows have no gradient, and so no moments: AdamW only decays them. In a model with MiniLM's vocabulary they are
half of all weights, and clipping and the optimizer's steps pass over them for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from randprune_lab.errors import ConfigError
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.training.data import Encoded


class UsedRows:
    """The rows of an embedding that a training uses, as a parameter that takes the place of the whole one.

    The rest is kept as it was at first, beside the product of its factors of decay, so that the result does not depend
    on when it is read. In a `with` statement the embedding has the small parameter; its `state_dict` and its outputs in
    evaluation mode are those of the whole one. At the end the whole one is back, with its new values.

    Args:
        name: the name of the whole parameter in the model.
        layer: the embedding.
        ids: the rows, in ascending order.
    """

    def __init__(self, name: str, layer: nn.Embedding, ids: Int64[Tensor, " rows"]):
        self.name, self.layer, self.whole = name, layer, layer.weight
        self.ids = ids.to(self.whole.device)
        self.place = torch.full((len(self.whole),), len(ids), device=self.whole.device)
        self.place[self.ids] = torch.arange(len(ids), device=self.whole.device)
        self.padding = None if layer.padding_idx is None else ids.tolist().index(layer.padding_idx)
        self.small = nn.Parameter(self.whole.detach()[self.ids])
        self._rest, self.factor = self.whole.detach().clone(), 1.0

    def decay(self, factor: float) -> None:
        """Multiply the rest by a factor, as a step of AdamW does."""
        self.factor *= factor

    def at_first(self) -> Float[Tensor, "all d"]:
        """The whole weight without the decay of the rest: what `read` takes."""
        return self._rest.index_copy(0, self.ids, self.small.detach())

    def now(self) -> Float[Tensor, "all d"]:
        """The whole weight."""
        return (self._rest * self.factor).index_copy_(0, self.ids, self.small.detach())

    @torch.no_grad()
    def read(self, factor: float) -> None:
        """Continue from what `at_first` gave, which is in the whole parameter, and from a product of factors."""
        self._rest.copy_(self.whole)
        self.small.copy_(self.whole[self.ids])
        self.factor = factor
        self.whole.copy_(self.now())

    def embed(self, ids: Int64[Tensor, "*shape"]) -> Float[Tensor, "*shape d"]:
        """The rows of these ids; in training mode all of them must be among the used ones."""
        place = self.place[ids]
        if self.layer.training:
            try:
                return F.embedding(place, self.small, self.padding)
            except IndexError as error:
                raise ConfigError(
                    f"the model looks up rows of {self.name!r} that are not tokens of the train set; train with "
                    "vocabulary='whole' (--vocabulary whole)"
                ) from error
        used = (place < len(self.small)).unsqueeze(-1)
        return torch.where(used, F.embedding(place.clamp(max=len(self.small) - 1), self.small), self._decayed(ids))

    def _decayed(self, ids: Int64[Tensor, "*shape"]) -> Float[Tensor, "*shape d"]:
        return F.embedding(ids, self._rest) * self.factor

    def __enter__(self) -> UsedRows:
        self.layer.weight = self.small
        self.layer.__class__ = _UsedEmbedding
        self.layer.rows = self  # type: ignore[assignment]
        return self

    @torch.no_grad()
    def __exit__(self, *error: object) -> None:
        self.whole.copy_(self.now())
        del self.layer.rows
        self.layer.__class__ = nn.Embedding
        self.layer.weight = self.whole


class _UsedEmbedding(nn.Embedding):
    """What an embedding is while `UsedRows` is active."""

    rows: UsedRows

    def forward(self, ids: Tensor) -> Tensor:
        return self.rows.embed(ids)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination[f"{prefix}weight"] = self.rows.now()


def find_used_rows(model: nn.Module, data: Encoded, mask: MaskSet | None) -> UsedRows | None:
    """The rows of a model's word embeddings that a train set uses; None where all are trained.

    That is so if the embeddings are tied to another layer, frozen, masked, in half precision, of a class of their own,
    or inside a wrapper, and if all rows are used.
    """
    try:
        get: Callable[[], Any] = model.get_input_embeddings  # type: ignore[assignment]
        layer = get()
    except (AttributeError, NotImplementedError):
        return None
    names = [f"{name}.weight" for name, module in model.named_modules(remove_duplicate=False) if module is layer]
    if len(names) != 1 or names[0] in (mask or ()) or not _is_plain(layer):
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
