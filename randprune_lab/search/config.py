"""The settings of a whole search. The command line and the notebooks take their options from here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from fractions import Fraction
from itertools import cycle, islice
from typing import Any, ClassVar, Literal

from randprune_lab.criteria import CRITERIA, Criterion, GradientCriterion, make_criterion
from randprune_lab.errors import ConfigError, check_count, check_range, unknown_name
from randprune_lab.files import given_path, one_file
from randprune_lab.masks.allocations import ALLOCATIONS, Allocation
from randprune_lab.masks.layers import LayerKind
from randprune_lab.masks.n_of_m import NofM
from randprune_lab.masks.rules import RULES, make_rule
from randprune_lab.masks.structures import find_structure
from randprune_lab.registry import settings_of
from randprune_lab.search.method import BASELINES, LONG, Method, check_levels, check_name
from randprune_lab.search.presets import PRESETS
from randprune_lab.search.selection import Score
from randprune_lab.search.strategies import STRATEGIES, Cautious, Screened, Strategy, make_strategy
from randprune_lab.tasks.custom_data import CustomData, LabelKind
from randprune_lab.tasks.metrics import EVALUATE_NAMES, check_metric, judged_by
from randprune_lab.tasks.mini_glue import GENERATORS, MiniGlue
from randprune_lab.tasks.spec import TASKS, get_task
from randprune_lab.training.compute import MAX_THREADS, Precision, check_device
from randprune_lab.training.config import Distillation, Layers, TrainingConfig, Vocabulary
from randprune_lab.typed import take_types

Learn = Literal["nothing", "allocation", "inclusion"]
Protocol = Literal["held-out", "select-on-test"]
TrainRows = Literal["first", "seed"]
Checkpoint = Literal["metric", "log-loss", "last"]

CUSTOM_DATA = ("data", "test_data", "text_columns", "label_column", "label_kind")
"""The settings that describe custom data."""
GENERATED = ("difficulty", "label_noise", "data_seed")
"""The settings that describe generated data."""
DENSE_SETTINGS = (
    *("task", "glue_dir", *CUSTOM_DATA, *GENERATED, "max_length", "train_size", "validation_size", "test_size"),
    *("train_rows", "checkpoint"),
    *("model", "layers", "dense_epochs", "dense_learning_rate", "batch_size", "evaluate_every", "seed"),
    *("vocabulary", "device", "threads", "precision", "metric"),
)
"""The settings that the data and the dense model depend on."""

SCORE_SETTINGS = ("criterion", "criterion_settings", "include", "exclude", "types")
"""The settings that the scores summed up during a training depend on, besides those of the training."""

_OPTIONS: dict[str, dict[str, str]] = {
    "voting": {"sampling_ratio": "sampling_ratios", "power": "power"},
    "gumbel": {"temperature": "temperature"},
    "halving": {"budget": "early_budget"},
    "race": {"error_rate": "race_error_rate"},
}
"""The settings of rules and strategies that have a separate field of `RunConfig`, and the name of this field."""
_SCORED = {"score": "early_score", "last": "early_last"}
"""Those of all strategies that have such settings."""

DATA, MODEL, MASKS, EARLY, TRAINING, DISTILLATION, EVALUATION, COMPUTING = GROUPS = (
    *("Data", "Model", "Masks", "Early evaluation", "Training", "Distillation", "Evaluation", "Computing"),
)
"""The headings under which `--help` shows the settings."""


def _option(group: str, default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help, "group": group})


def _settings(group: str, help: str) -> Any:
    return field(default_factory=dict, metadata={"help": help, "group": group})


@dataclass(frozen=True)
class RunConfig:
    """The settings that determine the result of a run, and no others.

    Raises:
        ConfigError: if a setting is out of range, or contradicts another one.
    """

    kind: ClassVar[str] = "randprune run"
    """The marker of a run folder, in its `config.json`."""

    task: str = _option(
        DATA, "rotten_tomatoes", "task to train on; `randprune tasks` lists them. With custom data, their name"
    )
    glue_dir: str | None = _option(DATA, None, "folder with GLUE's TSV files; without it GLUE tasks come from the hub")
    data: str | None = _option(
        DATA, None, "custom data instead of a task: a CSV, TSV, JSONL or Parquet file, or a folder saved by datasets"
    )
    test_data: str | None = _option(
        DATA, None, "test set for custom data, in the same formats; without it, a fifth of the data is held out"
    )
    text_columns: tuple[str, ...] = _option(DATA, ("text",), "columns of the texts in custom data, one or two")
    label_column: str = _option(DATA, "label", "column of the labels in custom data")
    label_kind: LabelKind = _option(
        DATA, "class", "kind of the labels in custom data: class, or score (numbers; regression)"
    )
    difficulty: int = _option(DATA, 1, "difficulty of a mini-GLUE task, 0 (easiest) to 2")
    label_noise: float = _option(DATA, 0.0, "fraction of wrong train labels in a mini-GLUE task")
    data_seed: int = _option(DATA, 0, "seed of the generated examples of a mini-GLUE task")
    max_length: int | None = _option(
        DATA, None, "maximum length of an input in tokens; without it, the maximum length set for the task"
    )
    train_size: int | None = _option(
        DATA,
        None,
        "number of training examples (mini-GLUE can generate any number); without it, all that are not held out",
    )
    train_rows: TrainRows = _option(
        DATA,
        "first",
        "rows of a smaller train set: first (the same for all seeds), or seed (drawn by the seed, so that results of "
        "several seeds also cover the choice of the rows); generated tasks always have the same",
    )
    validation_size: int | None = _option(
        DATA, None, "number of validation examples, which are held out of the train data; without it, at most 1,000"
    )
    test_size: int | None = _option(DATA, None, "number of examples of each test set; without it, all")
    model: str = _option(MODEL, "minilm", "model to prune: a name from `randprune models`, a hub id or a local folder")
    layers: int | None = _option(MODEL, None, "number of the model's layers to use, from the first; without it, all")
    include: tuple[str, ...] = _option(
        MASKS,
        (),
        "shell patterns for the names of the weights to prune, such as '*.attention.*.weight'; without it, every "
        "matrix in the repeated layers",
    )
    exclude: tuple[str, ...] = _option(MASKS, (), "shell patterns for the names of weights that stay dense")
    types: tuple[LayerKind, ...] = _option(
        MASKS,
        (),
        "kinds of layers to prune: linear, recurrent, experts, convolution; without it, all but convolutions",
    )
    levels: tuple[float, ...] = _option(
        MASKS,
        (0.54, 0.83, 0.92, 0.9375),
        "sparsity of each level, in increasing order (0.9375: 16 times fewer weights)",
    )
    rule: str = _option(
        MASKS,
        "voting",
        "mask rule of the candidates: voting (the published one), gumbel, uniform, magnitude, or one of your own",
    )
    rule_settings: Mapping[str, Any] = _settings(
        MASKS,
        "settings of the mask rule that have no option here, as of a rule of your own; several values, with commas "
        "between them, are used cyclically by the candidates",
    )
    criterion: str = _option(
        MASKS,
        "magnitude",
        "importance score that weights are ranked by: magnitude (the published one), one of those above, or one of "
        "your own",
    )
    criterion_settings: Mapping[str, Any] = _settings(MASKS, "settings of the criterion, such as per=example")
    score_batches: int | None = _option(
        MASKS,
        None,
        "number of train batches that a criterion runs the model on at each level, drawn by the seed; without it, 16, "
        "and for wanda the first 128 examples",
    )
    sampling_ratios: tuple[float, ...] = _option(
        MASKS,
        (5e-5, 1e-4, 8e-5, 3e-4),
        "sampling ratios of the voting rule, larger is less random; candidates use them cyclically",
    )
    power: float = _option(
        MASKS, 5.0, "power of the voting rule: weights are sampled with probability proportional to score ** power"
    )
    temperature: float = _option(MASKS, 0.2, "temperature of the gumbel rule; larger is more random")
    allocation: str = _option(
        MASKS,
        "layerwise",
        "how sparsity is divided among the matrices: layerwise (each the same), row (each output the same), global "
        "(one threshold for all), erk (small matrices keep more), owl (matrices with outliers keep more), sensitivity "
        "(by a scan), around (random around another one), evolved (by forward passes), or one of your own",
    )
    allocation_settings: Mapping[str, Any] = _settings(MASKS, "settings of the allocation, such as m=7 or base=owl")
    structure: str | None = _option(
        MASKS,
        None,
        "weights that are kept or removed together: 2:4 (2 of every 4 inputs; also other numbers), 32x1 (blocks of "
        "outputs x inputs), heads or neurons (sparsity is the fraction of them that is removed; other weights stay "
        "dense); without it, single weights",
    )
    candidates: int = _option(EARLY, 8, "number of masks that are evaluated early at each level")
    incumbent: bool = _option(
        EARLY,
        False,
        "make the first candidate of each level the mask of the largest scores, so that the search can be worse than "
        "that mask only by the noise of the selection",
    )
    screen: int | None = _option(
        EARLY,
        None,
        "number of masks to draw and score by log-loss on the validation set without training; the best become the "
        "candidates",
    )
    early_strategy: str = _option(
        EARLY,
        "full",
        "how candidates are compared: full (each gets the whole early evaluation), halving (the worse "
        "half is dropped in each round), race (a candidate is dropped when it is significantly worse), cautious (the "
        "incumbent wins, unless another is better after shrinkage), or a strategy of your own",
    )
    early_settings: Mapping[str, Any] = _settings(
        EARLY, "settings of the strategy that have no option here, such as eta=4 or looks=20"
    )
    early_score: Score = _option(
        EARLY, "metric", "score that compares candidates: metric (the task's metric) or log-loss"
    )
    early_budget: float = _option(
        EARLY, 1 / 3, "step budget of the halving strategy, as a fraction of the steps that full would take"
    )
    race_error_rate: float = _option(
        EARLY, 0.05, "probability that the race strategy drops the best candidate, at most"
    )
    early_epochs: int = _option(EARLY, 1, "number of epochs of an early evaluation")
    early_rate: float = _option(EARLY, 4.0, "learning rate of an early evaluation, as a multiple of --learning-rate")
    early_last: int = _option(EARLY, 10, "an early score is the mean of the last N evaluations")
    candidate_seeds: bool = _option(
        EARLY,
        False,
        "give each candidate a training seed of its own: with --rule magnitude and --keep-early, the candidates are "
        "restarts of one mask",
    )
    keep_early: bool = _option(
        EARLY,
        False,
        "let the winner go on from the weights of its early evaluation, with a new learning rate schedule, instead of "
        "training it from the start again",
    )
    learn: Learn = _option(
        EARLY,
        "nothing",
        "what later candidates adapt to the best earlier ones: nothing, allocation (how many weights "
        "each matrix keeps), inclusion (each weight's inclusion probability)",
    )
    generations: int = _option(
        EARLY, 1, "number of groups that a level's candidates come in; with --learn, each learns from those before"
    )
    learn_rate: float = _option(
        EARLY, 0.5, "update rate of the learned distribution after a generation, 0 (none) to 1 (all)"
    )
    allocation_spread: float = _option(
        EARLY,
        0.5,
        "with --learn allocation: how much the matrices of a candidate differ in the first generation, as the standard "
        "deviation of the log-odds of keeping a weight",
    )
    noise_seeds: int = _option(
        EARLY,
        0,
        "train the first masks of each level early again with this number of other seeds, to measure how much of an "
        "early score is due to the mask; it does not change the selection",
    )
    dense_epochs: int = _option(TRAINING, 2, "number of epochs of fine-tuning before any pruning")
    dense_learning_rate: float = _option(TRAINING, 1e-4, "learning rate of the fine-tuning before any pruning")
    epochs: int = _option(TRAINING, 2, "number of epochs with the chosen mask at each level (the paper: 10)")
    learning_rate: float = _option(TRAINING, 5e-5, "learning rate with the chosen mask")
    checkpoint: Checkpoint = _option(
        TRAINING,
        "metric",
        "weights that a training ends with: those of the best evaluation on the validation set, by metric or log-loss, "
        "or the last ones",
    )
    batch_size: int = _option(TRAINING, 32, "number of examples in a training step (the paper: 64)")
    mask_gradients: bool = _option(
        TRAINING,
        True,
        "give removed weights a gradient of zero, so that gradients are clipped by the norm of those of the kept "
        "weights",
    )
    vocabulary: Vocabulary = _option(
        TRAINING,
        "used",
        "word embeddings to train: used (those of the train set's tokens; the others only decay), or whole (all, which "
        "takes longer and gives the same up to rounding)",
    )
    seed: int = _option(TRAINING, 0, "seed of masks, batches, dropout and the classification head")
    distill_labels: float = _option(DISTILLATION, 0.0, "weight of the true labels in the loss of a pruned model")
    distill_logits: float = _option(DISTILLATION, 1.0, "weight of the dense model's softened predictions in the loss")
    distill_attention: float = _option(DISTILLATION, 0.0, "weight of the dense model's attention maps in the loss")
    distill_hidden: float = _option(DISTILLATION, 0.0, "weight of the dense model's hidden states in the loss")
    distill_temperature: float = _option(DISTILLATION, 1.0, "temperature that softens the dense model's predictions")
    metric: str | None = _option(
        EVALUATION,
        None,
        "primary metric, which chooses masks and checkpoints: accuracy, f1, macro_f1 or matthews for classes, pearson "
        "or spearman for scores; without it, the first metric of the task",
    )
    evaluate_every: int = _option(EVALUATION, 50, "number of training steps between two evaluations")
    baselines: tuple[str, ...] = _option(
        EVALUATION,
        ("imp", "uniform"),
        "other methods to run for comparison, with one mask a level and the winner's training steps: imp (iterative "
        "magnitude pruning without rewinding), uniform (uniformly random masks); imp-long is imp with the most "
        "training steps that the whole search may take, candidates included (rounded up to epochs)",
    )
    protocol: Protocol = _option(
        EVALUATION,
        "held-out",
        "examples that masks are chosen by: held-out (the validation set; the test set is used once, at the end), or "
        "select-on-test (at the last level the test set, as published)",
    )
    method: str = _option(
        EVALUATION, "search", "name of this run's method in records and tables, to compare several runs"
    )
    device: str = _option(
        COMPUTING, "auto", "where models and masks are: cpu, cuda, cuda:1 (the second GPU), mps, or auto (cuda or cpu)"
    )
    threads: int | None = _option(
        COMPUTING, None, "number of PyTorch threads; without it, the number that PyTorch starts with"
    )
    precision: Precision = _option(
        COMPUTING,
        "float32",
        "number format of matrix products: float32, or bfloat16 (autocast; for GPUs, slower on many CPUs)",
    )
    compute: Layers = _option(
        COMPUTING,
        "auto",
        "how masked layers are computed while they are trained: dense, sparse (from their kept weights alone; on CPUs "
        "only), or auto (sparse where that is faster)",
    )

    def __post_init__(self) -> None:
        take_types(self)
        check_levels(self.levels)
        for name in ("include", "exclude"):
            if "" in getattr(self, name):
                raise ConfigError(f"{name} must have patterns such as '*.query.weight', got an empty one")
        _ = self.classes, self.importance  # raises an error if there is no such rule, strategy or criterion
        if self.early_strategy == Screened.name:
            raise ConfigError(f"early_strategy must not be {Screened.name!r}; give screen (--screen) instead")
        if self.screen is not None:
            check_count("screen", self.screen)
            if self.screen < self.candidates:
                raise ConfigError(
                    f"screen must be at least {self.candidates}, the number of candidates, got {self.screen}"
                )
        if not self.sampling_ratios:
            raise ConfigError("sampling_ratios must have at least one ratio, got none")
        self._check_learning()
        self._check_structure()
        for name in (
            "candidates",
            "early_last",
            "max_length",
            "train_size",
            "validation_size",
            "test_size",
            "layers",
            "score_batches",
        ):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        if self.threads is not None:
            check_count("threads", self.threads, high=MAX_THREADS)
        if self.incumbent and self.candidates < 2:
            raise ConfigError("incumbent needs at least 2 candidates, got 1; with one, use the baseline imp")
        if self.early_strategy == Cautious.name and not self.incumbent:
            raise ConfigError("early_strategy cautious compares with the incumbent; set incumbent (--incumbent) too")
        if self.early_strategy == Cautious.name and self.early_score != "log-loss":
            raise ConfigError(
                f"early_strategy cautious compares by log-loss, got early_score {self.early_score!r}; set early_score "
                "log-loss (--early-score log-loss)"
            )
        check_range("early_rate", self.early_rate, low=0, low_open=True)
        check_count("seed", self.seed, low=0, high=2**62)
        check_name("a method", self.method)
        check_device(self.device)
        self._check_data()
        # These check the other settings.
        _ = self.methods(), self.dense_training(), self.early_training(0), self.level_training(0)

    def _check_learning(self) -> None:
        check_count("generations", self.generations)
        check_count("noise_seeds", self.noise_seeds, low=0)
        if self.noise_seeds == 1:
            raise ConfigError(
                "noise_seeds must be 0, or at least 2 to compare the seeds of one mask with each other, got 1"
            )
        check_range("learn_rate", self.learn_rate, low=0, high=1)
        check_range("allocation_spread", self.allocation_spread, low=0, high=100)  # of log-odds: beyond, all or nothing
        for name in ("candidates", "screen"):
            if (size := getattr(self, name)) is not None and size % self.generations:
                raise ConfigError(
                    f"{name} must be a multiple of {self.generations}, the number of generations, got {size}"
                )

    def _check_structure(self) -> None:
        """Refuse a structure with levels, an allocation or a way to learn that it cannot have."""
        structure = find_structure(self.structure)
        if isinstance(structure, NofM) and (len(self.levels) > 1 or abs(self.levels[0] - structure.removed) > 1e-6):
            raise ConfigError(
                f"levels must be {structure.removed:.7g} alone with structure {self.structure!r} (--levels "
                f"{structure.removed:.7g}), got {' '.join(f'{level:g}' for level in self.levels)}"
            )
        for level in self.levels:
            structure.sparsity(level, self.divided())
        if self.structure is not None and self.learn == "inclusion":
            raise ConfigError(
                f"learn 'inclusion' moves the probabilities of single weights, which breaks structure "
                f"{self.structure!r}; choose learn nothing or allocation"
            )
        if isinstance(structure, NofM) and self.learn == "allocation":
            raise ConfigError(
                f"learn 'allocation' needs tensors that can keep different fractions, and structure "
                f"{self.structure!r} keeps the same in all; choose learn nothing"
            )

    def _check_data(self) -> None:
        """Refuse settings of a task together with custom data, and settings of custom data without it."""
        if self.glue_dir is not None:
            given_path(self.glue_dir)
        excluded: tuple[str, ...] = ("task", "glue_dir") if self.task in TASKS else ("glue_dir",)
        if self.data is None:
            excluded = CUSTOM_DATA[1:]
        elif self.task not in TASKS:
            check_name("custom data", self.task)
        defaults = {setting.name: default_of(setting) for setting in fields(self)}
        for name in excluded:
            value = getattr(self, name)
            if value != defaults[name] and self.data is None:
                raise ConfigError(f"{name} {value!r} describes custom data; give data too, or leave {name} out")
            if value != defaults[name]:
                raise ConfigError(f"{name} {value!r} and data {self.data!r} exclude each other; leave one of them out")
        for name in GENERATED if self.task not in GENERATORS else ():
            if (value := getattr(self, name)) != defaults[name]:
                raise ConfigError(
                    f"{name} {value!r} is for the tasks of mini-GLUE; leave it out, or choose such a task"
                )
        _ = self.custom_data, self.mini_glue, self.strategy(), self.divided()  # these check the other settings
        if self.metric is not None:
            metric = EVALUATE_NAMES.get(self.metric, self.metric)
            if self.data is None:
                judged_by(get_task(self.task), metric)
            else:
                check_metric(metric, self.data, regression=self.label_kind == "score")
            object.__setattr__(self, "metric", metric)

    @property
    def mini_glue(self) -> MiniGlue | None:
        """The settings of the generated data; None if the task is not one of mini-GLUE."""
        if self.task not in GENERATORS:
            return None
        sizes = {"train": self.train_size, "validation": self.validation_size}
        given = {role: size for role, size in sizes.items() if size is not None}
        return MiniGlue(self.task, self.difficulty, self.label_noise, self.data_seed, **given)

    @property
    def custom_data(self) -> CustomData | None:
        """The custom data; None if the run has a task."""
        if self.data is None:
            return None
        name = self.task if self.task not in TASKS else None
        return CustomData(self.data, self.text_columns, self.label_column, self.label_kind, self.test_data, name)

    @property
    def scope(self) -> dict[str, Any]:
        """The patterns of the weights to prune and the kinds of their layers, as `prunable` takes them."""
        return {"include": self.include or None, "exclude": self.exclude, "types": self.types or None}

    @property
    def distillation(self) -> Distillation:
        """The settings of the distillation."""
        return Distillation(
            self.distill_labels,
            self.distill_logits,
            self.distill_attention,
            self.distill_hidden,
            self.distill_temperature,
        )

    def methods(self) -> list[Method]:
        """The run's own method, and its baselines."""
        for name in self.baselines:
            if name not in BASELINES:
                raise unknown_name("baseline", name, BASELINES)
        names = [self.method, *self.baselines]
        if one_file(names):
            raise ConfigError(
                f"method and baselines must have names that differ in more than case, as those of files, got "
                f"{' '.join(names)}"
            )
        settings = self._own_settings(_OPTIONS.get(self.rule, {}), self.rule_settings, "rule_settings")
        rules = tuple(make_rule(self.rule, **values) for values in _cycled(settings))
        # In whole epochs, and never fewer steps than the search has.
        fraction = Fraction(self.strategy().steps_fraction).limit_denominator(10**6)
        early = math.ceil(self.candidates * self.early_epochs * fraction)
        longer = self.epochs + (early if self.candidates > 1 else 0)
        return [
            Method(self.method, rules, self.screen or self.candidates, self.epochs),
            *(Method(name, (BASELINES[name],), 1, longer if name == LONG else self.epochs) for name in self.baselines),
        ]

    def strategy(self) -> Strategy:
        """The strategy that compares the candidates of a generation."""
        known = settings_of(STRATEGIES[self.early_strategy])
        options = {setting: option for setting, option in _SCORED.items() if setting in known}
        options |= _OPTIONS.get(self.early_strategy, {})
        settings = self._own_settings(options, self.early_settings, "early_settings")
        strategy = make_strategy(self.early_strategy, **settings)
        return Screened(keep=self.candidates // self.generations, then=strategy) if self.screen else strategy

    def check_budget(self, rows: int) -> None:
        """Raise `ConfigError` if the strategy's budget reaches no evaluation with this number of train rows."""
        if (drawn := self.screen or self.candidates) > 1:
            steps = self.early_epochs * -(-rows // self.batch_size)
            self.strategy().stages(drawn // self.generations, steps, self.evaluate_every)

    def _own_settings(self, options: Mapping[str, str], given: Mapping[str, Any], field_name: str) -> dict[str, Any]:
        """The settings of a rule or strategy: those with a separate field (see `_OPTIONS`), and the given ones."""
        for setting in given:
            if setting in options:
                raise ConfigError(
                    f"{field_name} has {setting!r}, which is a setting of its own; give {options[setting]} instead"
                )
        return {setting: getattr(self, option) for setting, option in options.items()} | dict(given)

    def divided(self) -> Allocation:
        """The allocation, with its settings."""
        return ALLOCATIONS.make(self.allocation, self.allocation_settings)

    @property
    def importance(self) -> Criterion:
        """The criterion, with its settings."""
        return make_criterion(self.criterion, **self.criterion_settings)

    @property
    def accumulated(self) -> GradientCriterion | None:
        """The criterion, if its scores are summed up over the training of the level before."""
        criterion = self.importance
        return criterion if isinstance(criterion, GradientCriterion) and criterion.accumulated else None

    @property
    def classes(self) -> tuple[type[Any], ...]:
        """The classes of the rule, the strategy, the criterion and the allocation."""
        return RULES[self.rule], STRATEGIES[self.early_strategy], CRITERIA[self.criterion], ALLOCATIONS[self.allocation]

    @property
    def keep_best(self) -> bool:
        """Whether a training ends with the weights of its best evaluation."""
        return self.checkpoint != "last"

    @property
    def train_seed(self) -> int | None:
        """The seed of the train rows, if they are drawn."""
        return self.seed if self.train_rows == "seed" else None

    def dense_training(self) -> TrainingConfig:
        """The settings of the fine-tuning before any pruning."""
        return self._training(
            epochs=self.dense_epochs, learning_rate=self.dense_learning_rate, keep_best=self.keep_best, seed=self.seed
        )

    def early_training(self, seed: int) -> TrainingConfig:
        """The settings of an early evaluation."""
        rate = self.learning_rate * self.early_rate
        return self._training(epochs=self.early_epochs, learning_rate=rate, seed=seed, distillation=self.distillation)

    def level_training(self, seed: int) -> TrainingConfig:
        """The settings of the training with the winner of a level."""
        return self._training(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            keep_best=self.keep_best,
            seed=seed,
            distillation=self.distillation,
        )

    def _training(self, **settings: Any) -> TrainingConfig:
        """The settings that all trainings of a run share, and `settings`."""
        names = ("batch_size", "evaluate_every", "mask_gradients", "vocabulary", "compute")
        return TrainingConfig(**{name: getattr(self, name) for name in names}, **settings)

    @classmethod
    def preset(cls, name: str, **settings: Any) -> RunConfig:
        """The settings of a preset; `settings` are added, and override them.

        With `data`, the preset's task and the sizes of its sets do not count.

        Raises:
            UnknownNameError: if there is no such preset.

        >>> RunConfig.preset("lesson", task="mini-mnli").model
        'tiny'
        """
        return cls(**with_preset(name, settings))

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON."""
        return {key: _listed(value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunConfig:
        """The settings that `to_dict` returned."""
        return cls(**{key: _tupled(value) for key, value in values.items()})


def with_preset(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given settings, and those of a preset that they leave open; see `RunConfig.preset`."""
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    of_its_data = ("task", "train_size", "validation_size") if given.get("data") is not None else ()
    return {key: value for key, value in PRESETS[name].items() if key not in of_its_data} | dict(given)


def settings_of_group(group: str) -> list[str]:
    """The names of the settings under a heading of `GROUPS`."""
    return [setting.name for setting in fields(RunConfig) if setting.metadata["group"] == group]


def default_of(setting: Any) -> Any:
    """The default of a field of `RunConfig`."""
    return setting.default if setting.default_factory is MISSING else setting.default_factory()


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _listed(part) for key, part in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _tupled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tupled(part) for key, part in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _cycled(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One dict of settings for each value of the setting with the most values; shorter lists of values are repeated.

    >>> _cycled({"a": (1, 2), "b": 3})
    [{'a': 1, 'b': 3}, {'a': 2, 'b': 3}]
    """
    columns = {name: [*value] if isinstance(value, tuple | list) else [value] for name, value in settings.items()}
    if empty := [name for name, values in columns.items() if not values]:
        raise ConfigError(f"{empty[0]} must have at least one value, got none")
    rounds = max(map(len, columns.values()), default=1)
    cycled = {name: list(islice(cycle(values), rounds)) for name, values in columns.items()}
    return [{name: values[number] for name, values in cycled.items()} for number in range(rounds)]
