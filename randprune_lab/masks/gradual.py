"""Gradual pruning: masks that are redrawn during a training, sparser each time, from the weights of that moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from inspect import signature
from numbers import Integral
from typing import Any

from torch import nn

from randprune_lab.errors import ConfigError, MaskError, check_count, check_range
from randprune_lab.masks.allocations import Counts, Given
from randprune_lab.masks.counter_rng import check_number
from randprune_lab.masks.layout import Weights
from randprune_lab.masks.n_of_m import NofM
from randprune_lab.masks.recipe import Recipe
from randprune_lab.masks.regrow import Kind, Regrowth
from randprune_lab.masks.sampler import MaskSampler
from randprune_lab.masks.schedule import Schedule, Shape, in_steps, name_of, shape_function
from randprune_lab.masks.sparsity import Sparsity, plain_sparsity

MakeSampler = Callable[[nn.Module, Any], MaskSampler]
"""Makes a sampler of a model's present weights with a given sparsity."""


class GradualMasks:
    """The settings of gradual pruning (Zhu and Gupta 2017, arXiv 1710.01878).

    Args:
        sampler: a `MaskSampler`, whose rule, final sparsity, allocation, seed and scope are used at every redraw with
            the weights of that moment; or a function `(model, sparsity) -> MaskSampler`, such as one that computes
            scores of its own.
        start, end: the steps of the first and the last redraw: whole numbers, or floats from 0 to 1, which are
            fractions of the training.
        every: the number of steps between two redraws.
        final: the sparsity at the end; that of `sampler`, so only a function needs it.
        begin: the sparsity at `start`; before, there is no mask.
        schedule: how the sparsity rises: "cubic", "linear" or "constant" (the final one from the start on), or a
            function as in `Schedule`.
        regrow: which removed weights come back at a redraw: "set" for random ones, "rigl" for those with the largest
            gradients; without it none do, and each mask is part of the one before.
        fraction: the fraction of the kept weights that regrowth replaces at first.
        candidate: the number of the candidate that is drawn at every redraw.

    Raises:
        ConfigError: if a setting is out of range, or `sampler` and the others contradict each other.
    """

    def __init__(
        self,
        sampler: MaskSampler | MakeSampler,
        start: float,
        end: float,
        every: int,
        *,
        final: Sparsity | None = None,
        begin: float = 0.0,
        schedule: Shape = "cubic",
        regrow: Kind | None = None,
        fraction: float = 0.3,
        candidate: int = 0,
    ):
        if not isinstance(sampler, MaskSampler) and (isinstance(sampler, nn.Module) or not callable(sampler)):
            raise ConfigError(
                "sampler must be a MaskSampler, or a function (model, sparsity) -> MaskSampler, "
                f"got a {type(sampler).__name__}"
            )
        if isinstance(sampler, MaskSampler) == (final is not None):
            raise ConfigError("final must be given if sampler is a function, and only then; a MaskSampler has its own")
        self.given, self.start, self.end, self.every, self.begin = sampler, start, end, every, begin
        self.final = plain_sparsity(sampler.sparsity if isinstance(sampler, MaskSampler) else final or 0.0)
        self.shape, self.candidate = schedule, candidate
        self.regrowth = None if regrow is None else Regrowth(regrow, fraction)
        check_number("candidate", candidate)
        check_count("every", every)
        shape_function(schedule)
        for value in [*self.final.values()] if isinstance(self.final, dict) else [self.final]:
            check_range("begin", begin, low=0, high=value)
        for name in ("start", "end"):
            in_steps(name, getattr(self, name), None if isinstance(getattr(self, name), Integral) else 1)
        if type(start) is type(end) and start >= end:
            raise ConfigError(f"start must be before end, got start {start:g} and end {end:g}; choose a later end")
        self._check_sampler(sampler)

    def _check_sampler(self, sampler: MaskSampler | MakeSampler) -> None:
        """Raise `ConfigError` if the sampler's masks cannot follow the schedule, or regrow."""
        if not isinstance(sampler, MaskSampler):
            return
        if self.shape != "constant" and isinstance(sampler.allocation, Counts):
            raise ConfigError(
                "a sampler with counts as allocation has one sparsity, and the schedule changes it; choose "
                "schedule='constant', or give a function (model, sparsity) -> MaskSampler"
            )
        if self.shape != "constant" and isinstance(sampler.structure, NofM):
            raise ConfigError(
                f"structure {str(sampler.structure)!r} has one sparsity, and the schedule changes it; choose "
                "schedule='constant'"
            )
        if self.regrowth is not None:
            check_single(sampler)

    def planned(self, total: int | None) -> Schedule:
        """The schedule of a training of `total` steps; None if the number is not known.

        Raises:
            ConfigError: if the schedule does not fit into the training.
        """
        start, end = (in_steps(name, getattr(self, name), total) for name in ("start", "end"))
        return Schedule(start, end, self.every, self.begin, self.shape)

    def sampler(self, model: nn.Module, sparsity: Sparsity) -> MaskSampler:
        """The sampler of the weights that a model has now.

        Raises:
            MaskError: if the sampler that was given is of another model.
            ConfigError: if the function that was given returned something else than what was asked for.
        """
        if isinstance(self.given, MaskSampler):
            made = replanned(self.given, model, sparsity)
            if made.shapes != self.given.shapes:
                raise MaskError(
                    f"the sampler has {len(self.given.shapes)} tensors that are not those of {type(model).__name__}, "
                    f"which has {len(made.shapes)} to prune; make the sampler from the model that is trained, or give "
                    "a function (model, sparsity) -> MaskSampler"
                )
            return made
        made = self.given(model, sparsity)
        if not isinstance(made, MaskSampler) or made.sparsity != sparsity:
            raise ConfigError(
                f"the function {name_of(self.given)} must return a MaskSampler with sparsity {sparsity}, got {made!r}"
            )
        return made

    def describe(self, schedule: Schedule) -> dict[str, Any]:
        """The settings as plain data, for records."""
        given, sampler = self.given, self.given if isinstance(self.given, MaskSampler) else None
        return {
            "sampler": name_of(given) if sampler is None else str(sampler.rule),
            "masks": sampler
            and {
                **plain_settings(sampler),
                "allocation": repr(sampler.allocation),  # a recipe has counts, which depend on the weights
                "scores": sampler.scores is not None,
                "signed": sampler.signed,
            },
            "final": self.final,
            "start": schedule.start,
            "end": schedule.end,
            "every": schedule.every,
            "begin": schedule.begin,
            "schedule": name_of(schedule.shape),
            "regrow": self.regrowth and [self.regrowth.kind, self.regrowth.fraction],
            "candidate": self.candidate,
        }


def check_single(sampler: MaskSampler) -> None:
    """Raise `ConfigError` unless any weight of a tensor may take the place of another, as in regrowth."""
    structured, by_rows = not isinstance(sampler.structure, Weights), sampler.allocation.compared == "row"
    if structured or by_rows:
        raise ConfigError(
            "regrow brings back single weights, wherever they are in a tensor, and the sampler has "
            f"{f'structure {str(sampler.structure)!r}' if structured else 'an allocation by rows'}; leave regrow out"
        )


def replanned(
    sampler: MaskSampler,
    target: nn.Module,
    sparsity: Sparsity,
    allocation: Given | None = None,
) -> MaskSampler:
    """A sampler with the same settings for other weights, another sparsity and perhaps another allocation."""
    settings = plain_settings(sampler) | {"scores": sampler.scores, "signed": sampler.signed}
    settings["allocation"] = sampler.allocation if allocation is None else allocation
    return MaskSampler(target, sampler.rule, sparsity, **settings)


def plain_settings(sampler: MaskSampler) -> dict[str, Any]:
    """The settings of a sampler that its recipes have, all of them, so that none is lost at a redraw."""
    recipe, known = sampler.recipe(0), signature(MaskSampler).parameters
    options = [each.name for each in fields(Recipe) if each.name in known and each.name not in ("rule", "sparsity")]
    return {name: getattr(recipe, name) for name in options}
