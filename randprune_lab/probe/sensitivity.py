"""How much the loss rises when one tensor alone is pruned: a table with a row for each tensor and sparsity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from randprune_lab.criteria.passes import Loss, model_loss
from randprune_lab.errors import ConfigError, FileError, StatisticError, check_range
from randprune_lab.files import atomic_path, reading
from randprune_lab.masks.allocations.sensitive import COLUMNS
from randprune_lab.masks.sparsity import keep_count
from randprune_lab.probe.measures import Data, loss_on
from randprune_lab.probe.one_shot import OneShot, pruned_in_place
from randprune_lab.progress import progress_bar

if TYPE_CHECKING:
    import pandas as pd

SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
"""The sparsities that are tried by default."""
EXACT = {"weight": str, "size": int} | dict.fromkeys(COLUMNS[2:], float)
"""How the cells of a table are read, so that numbers keep all their digits."""


def sensitivity(
    model: nn.Module,
    data: Data,
    sparsities: Sequence[float] = SPARSITIES,
    *,
    scores: Mapping[str, Tensor] | None = None,
    signed: bool = False,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    types: Sequence[type[nn.Module] | str] | None = None,
    loss: Loss = model_loss,
    file: str | Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Prune one tensor at a time to each sparsity, without training, and measure the loss. The model is left as it was.

    It takes a forward pass over the data for each tensor and sparsity, and one more.

    Args:
        model: the trained dense model.
        data: batches of held-out examples, dicts of tensors with the labels inside; or a function of the model that
            returns what is measured, where smaller is better, such as `divergence_from(model, batches)`: it needs no
            labels, and on few examples it made better allocations than the loss (docs/method.md).
        sparsities: fractions of the weights of the tensor to remove, above 0; 1 removes the whole tensor.
        scores, signed: the importance scores, by the weights' names; without them, magnitudes. See `MaskSampler`.
        include, exclude, types: which weights are pruned, see `prunable`.
        loss: the loss of a batch, by default what the model itself returns.
        file: a CSV file that the rows are written to, tensor by tensor. If it has rows of the same model, data and
            sparsities already, these are not computed again.
        progress: show a progress bar.

    Returns:
        A row for each tensor and sparsity.
        Columns: weight (the tensor's name), size (its number of weights), sparsity, measured (the loss, or what `data`
        returns), increase (measured minus dense), dense (of the dense model).

    Raises:
        ConfigError: if a sparsity is not in (0, 1], or there are no batches.
        FileError: if the file has the rows of another scan, or cannot be written.
        StatisticError: if the loss of the dense model is not finite.
    """
    import pandas as pd

    tried = checked_sparsities(sparsities)
    evaluate = loss_on(data, loss)
    one_shot = OneShot(model, scores, signed=signed, include=include, exclude=exclude, types=types)
    dense = float(evaluate(model))
    if not abs(dense) < float("inf"):
        raise StatisticError(f"the loss of the dense model is {dense}; give a trained model, and data that fit it")
    rows = [] if file is None else _recorded(Path(file), one_shot, tried, dense)
    left = [name for name in one_shot.sizes if name not in {row["weight"] for row in rows}]
    total = len(one_shot.sizes) * len(tried)
    with progress_bar(total, len(rows), shown=progress) as bar, pruned_in_place(one_shot):
        for name in left:
            for sparsity in tried:
                size = one_shot.sizes[name]
                one_shot.prune({name: min(keep_count(size, sparsity), one_shot.room[name])})
                found = float(evaluate(model))
                values = (name, size, sparsity, found, found - dense, dense)
                rows.append(dict(zip(COLUMNS, values, strict=True)))
                bar.advance(1)
            one_shot.dense([name])
            if file is not None:
                _write(Path(file), pd.DataFrame(rows))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def checked_sparsities(sparsities: Sequence[float]) -> list[float]:
    """The sparsities in their order, each once; raises `ConfigError` if there are none, or one is not in (0, 1]."""
    if not len(sparsities):
        raise ConfigError("sparsities must have at least one sparsity, got none")
    for sparsity in sparsities:
        check_range("sparsity", sparsity, low=0, high=1, low_open=True)
    return sorted({float(sparsity) for sparsity in sparsities})


def _recorded(file: Path, one_shot: OneShot, sparsities: list[float], dense: float) -> list[dict[str, Any]]:
    """The rows that a file has, if they are of the same scan."""
    import pandas as pd

    if not file.exists():
        return []
    with reading("table", file):
        try:
            table = pd.read_csv(file, converters=EXACT)
        except ValueError as error:
            raise FileError(f"{file} is no table of a scan: {error}; choose another file") from error
    rows = table.to_dict("records")
    own = [(name, sparsity) for name in one_shot.sizes for sparsity in sparsities][: len(rows)]
    same = tuple(table.columns) == COLUMNS and [(row["weight"], row["sparsity"]) for row in rows] == own
    if not same or len(rows) % len(sparsities) or any(row["dense"] != dense for row in rows):
        raise FileError(
            f"{file} has another table, not one of this model, data and sparsities; choose another file, or delete it"
        )
    return [{str(key): value for key, value in row.items()} for row in rows]


def _write(file: Path, table: pd.DataFrame) -> None:
    with atomic_path(file) as temporary:
        temporary.write_text(table.to_csv(index=False), "utf-8")
