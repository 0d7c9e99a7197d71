"""The time of a training step: with and without a mask, and compared with a step of `transformers.Trainer`."""

from __future__ import annotations

import tempfile
import time
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from randprune_lab.bench.figure import Figure, figure_line
from randprune_lab.bench.measuring import place
from randprune_lab.errors import check_count
from randprune_lab.masks.mask_set import MaskSet
from randprune_lab.masks.rules import Voting
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.models.load import load_model
from randprune_lab.tasks import load_splits
from randprune_lab.training.compute import device_name, find_device
from randprune_lab.training.config import TrainingConfig
from randprune_lab.training.data import Encoded, encode, training_batches
from randprune_lab.training.loop import Training

BATCH = 32
SPARSITY = 0.9375


def bench_train(
    model: str = "minilm", layers: int | None = 3, task: str = "rotten_tomatoes", steps: int = 20, repeats: int = 5
) -> list[dict[str, Any]]:
    """Measure the time per step of three training loops on the same model and batches.

    The loops run on a GPU if there is one. A step is a forward and a backward pass, gradient clipping, and AdamW, in
    float32. `Trainer` gets the same batches, each padded to its longest row. The loops run alternately.

    Args:
        model: the name or the folder of the model.
        layers: the number of its layers, from the first; None for all.
        task: the task that the batches are from.
        steps: the number of steps of each measurement.
        repeats: the number of measurements of each loop; medians are reported.

    Returns:
        A row with the seconds per step and the ratios of them.

    Raises:
        ConfigError: if the number of steps is not at least 1.
    """
    check_count("steps", steps)
    splits = load_splits(task, train_size=BATCH * steps)
    network, tokenizer = load_model(model, task=splits.task, layers=layers)
    device = find_device("auto")
    network.to(device)  # type: ignore[arg-type]
    train = encode(splits.train, splits.task.text_fields, tokenizer, splits.task.max_length)
    mask = MaskSampler(network, Voting(), SPARSITY).draw(0)
    loops = {
        "dense": lambda: _ours(network, train, None),
        "masked": lambda: _ours(network, train, mask),
        "Trainer": lambda: _trainer(network, train),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(repeats + 1):  # the first round warms up
        for name, loop in loops.items():
            seconds[name].append(loop())
    per_step = {name: median(times[1:]) for name, times in seconds.items()}
    ratios = {
        name: median(a / b for a, b in zip(seconds[name][1:], seconds[other][1:], strict=True))
        for name, other in (("masked", "dense"), ("dense", "Trainer"))
    }
    figures = [
        Figure("masked step / dense step", ratios["masked"], 1.05, 1.0),
        Figure("dense step / step of transformers.Trainer", ratios["dense"], 1.0, 0.8),
    ]
    return [
        {
            "model": f"{model}, {layers} layers" if layers else model,
            "task": task,
            "steps": steps,
            "device": device_name(device) or device.type,
            "threads": torch.get_num_threads(),
            "seconds": per_step,
            "figures": [figure.to_dict() for figure in figures],
        }
    ]


def _batches(train: Encoded) -> list[np.ndarray]:
    return training_batches(train.lengths, BATCH, seed=0, epoch=0)


def _ours(model: nn.Module, train: Encoded, mask: MaskSet | None) -> float:
    config = TrainingConfig(epochs=1, batch_size=BATCH, evaluate_every=10**6)
    training = Training(model, train, config, mask=mask)
    start = time.perf_counter()
    training.run(lambda model: 0.0)
    _finish()
    return (time.perf_counter() - start) / len(training.batches)


def _trainer(model: nn.Module, train: Encoded) -> float:
    from torch.utils.data import DataLoader
    from transformers import PrinterCallback, Trainer, TrainingArguments

    class OurBatches(Trainer):
        """`Trainer` with the batches of this package's loop."""

        def get_train_dataloader(self) -> DataLoader:
            rows = [batch.tolist() for batch in _batches(train)]

            def collate(rows: list[int]) -> dict[str, torch.Tensor]:
                batch = train.batch(rows)
                del batch["rows"]
                return batch

            return DataLoader(range(len(train)), batch_sampler=rows, collate_fn=collate)  # type: ignore[arg-type]

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        trainer = OurBatches(model=model, args=arguments)
        trainer.remove_callback(PrinterCallback)
        start = time.perf_counter()
        trainer.train()
        _finish()
        return (time.perf_counter() - start) / len(_batches(train))


def _finish() -> None:
    """Wait for the work of a GPU, which goes on after a call has returned."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def describe(rows: list[dict[str, Any]]) -> str:
    """The measurements as a table for a terminal."""
    lines = []
    for row in rows:
        lines.append(f"{row['model']} on {row['task']}, batches of {BATCH}, {place(row)}")
        lines += [f"  {name:<32} {seconds:>12.4f} s per step" for name, seconds in row["seconds"].items()]
        lines += [figure_line(figure) for figure in row["figures"]]
    return "\n".join(lines)
