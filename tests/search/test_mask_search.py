"""`MaskSearch`: the bits of `randprune run` with its own training functions, and the same search by ask and tell."""

from __future__ import annotations

import dataclasses
import logging
import math
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import randprune_lab as rp
from randprune_lab.criteria import Criterion, Custom
from randprune_lab.criteria import scores as scores_of
from randprune_lab.errors import ConfigError, MaskError, RandpruneError, RunError, ScopeError
from randprune_lab.masks.allocations import Around
from randprune_lab.search import OnDask, PairedRace, Screened, SuccessiveHalving, TrainAll
from randprune_lab.search.journal import read_journal
from randprune_lab.search.run import Search
from randprune_lab.training.loop import Training, TrainingState
from randprune_lab.training.scoring import log_likelihood, predict, score

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import this file

INPUTS = torch.randn(96, 12, generator=torch.Generator().manual_seed(0))
LABELS = (INPUTS @ torch.randn(12, 3, generator=torch.Generator().manual_seed(1))).argmax(1)


def make(seed: int = 0) -> nn.Module:
    """A small network with dropout, whose training uses random numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(12, 24), nn.ReLU(), nn.Dropout(0.1), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 3)
        )


def fit(model, mask, start, stop, total, seed, state):
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    if state is not None:
        optimizer.load_state_dict(state)
    keep = rp.MaskCallback(mask, model)
    for step in range(start, stop):
        rows = torch.randint(len(INPUTS), (32,), generator=torch.Generator().manual_seed(seed + step))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(INPUTS[rows]), LABELS[rows]).backward()
        optimizer.step()
        keep.enforce()
    return optimizer.state_dict()


def fit_without_state(*args):
    fit(*args)


def likelihoods(model) -> Tensor:
    return -nn.functional.cross_entropy(model(INPUTS), LABELS, reduction="none")


def accuracy(model) -> float:
    return float((model(INPUTS).argmax(1) == LABELS).float().mean())


SETTINGS = {
    "train": fit,
    "evaluate": likelihoods,
    "levels": (0.5, 0.8),
    "steps": 24,
    "early_steps": 16,
    "evaluate_every": 4,
    "candidates": 4,
    "rule": [rp.Voting(0.1), rp.Uniform()],
    "strategy": SuccessiveHalving(budget=0.5, last=2),
}


def search(folder: Path, **changes) -> rp.MaskSearch:
    return rp.MaskSearch(make(), folder=folder, **(SETTINGS | changes))


def record(folder: Path) -> dict[str, str]:
    """The units of a search; as text, because losses are unknown, and NaN differs from NaN."""
    return {name: repr(unit) for name, unit in read_journal(folder).items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A search that ran through; it is only read."""
    folder = tmp_path_factory.mktemp("search") / "whole"
    search(folder).run(progress=False)
    return folder


# --- the bits of a run ---


def run_as_functions(config: rp.RunConfig, dense: Path):
    """A run's own training as the functions of a MaskSearch, and the trained dense model."""
    from safetensors.torch import load_file

    ours = Search(config, progress=False)
    ours.model.load_state_dict(load_file(dense))
    teacher = Search(config, progress=False).model
    teacher.load_state_dict(load_file(dense))
    from randprune_lab.training.distillation import Teacher

    taught = Teacher(teacher, ours.train)

    def train(model, mask, start, stop, total, seed, state):
        settings = config.early_training(seed) if total == 12 else config.level_training(seed)
        settings = dataclasses.replace(settings, keep_best=False, compute=ours.compute.layers)
        training = Training(model, ours.train, settings, mask=mask, teacher=taught)
        if state is not None:
            training.restore(TrainingState(**(state | {"history": training.history})))
        training.run(lambda model: 0.0, until=stop)
        after = training.state()
        return {field.name: getattr(after, field.name) for field in dataclasses.fields(after)} | {"history": None}

    def evaluate(model):
        logits = predict(model, ours.validation)
        metric = score(ours.task, logits, ours.validation)[ours.task.primary_metric]
        return metric, log_likelihood(logits, ours.validation.labels)

    return ours.model, train, evaluate


@pytest.mark.parametrize(
    ("settings", "strategy"),
    [
        ({"early_strategy": "halving", "early_budget": 0.5}, SuccessiveHalving(budget=0.5)),
        (
            {"early_strategy": "race", "race_error_rate": 0.4, "levels": (0.9,)},
            PairedRace(error_rate=0.4, score="metric"),
        ),
    ],
    ids=["halving", "race"],
)
def test_a_runs_own_training_gives_the_bits_of_the_run(config, finished, tmp_path, settings, strategy):
    config = dataclasses.replace(config, baselines=(), epochs=2, **settings)
    path = rp.run(config, tmp_path / "run", progress=False, dense_of=finished)
    model, train, evaluate = run_as_functions(config, path / "checkpoints" / "dense.safetensors")
    rule = [rp.Voting(ratio, config.power) for ratio in config.sampling_ratios]
    rp.MaskSearch(
        model,
        train=train,
        evaluate=evaluate,
        levels=config.levels,
        folder=tmp_path / "ours",
        steps=24,
        early_steps=12,
        evaluate_every=config.evaluate_every,
        candidates=config.candidates,
        rule=rule,
        strategy=strategy,
        seed=config.seed,
    ).run(progress=False)
    theirs, ours = read_journal(path), read_journal(tmp_path / "ours")
    shared = ours.keys() & theirs.keys()
    assert shared == {name for name in theirs if name.startswith("search-level-")}
    for name in shared:
        assert {**ours[name], "losses": 0} == {**theirs[name], "losses": 0}, name


# --- stopped, in pieces, elsewhere ---


class Stop(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("calls", [0, 3, 9, 20])
def test_a_search_that_was_stopped_continues_to_the_same_record(whole, tmp_path, calls):
    done = []

    def train(*args):
        if len(done) == calls:
            raise Stop
        done.append(args[2:4])
        return fit(*args)

    with torch.random.fork_rng():
        torch.manual_seed(calls)  # other random numbers than those of the whole search change nothing
        with pytest.raises(Stop):
            search(tmp_path / "cut", train=train).run(progress=False)
        search(tmp_path / "cut").run(progress=False)
        assert torch.initial_seed() == calls
    assert record(tmp_path / "cut") == record(whole)


def test_the_training_of_a_winner_goes_on_where_it_stopped(whole, tmp_path):
    calls = []

    def train(*args):
        calls.append(args[2:5])
        if calls[-1] == (12, 16, 24) and calls.count(calls[-1]) == 1:
            raise Stop
        return fit(*args)

    with pytest.raises(Stop):
        search(tmp_path / "cut", train=train).run(progress=False)
    done = len(calls)
    search(tmp_path / "cut", train=train).run(progress=False)
    assert calls[done] == (12, 16, 24) and record(tmp_path / "cut") == record(whole)


def test_a_finished_search_trains_nothing_and_gives_the_winners_weights(whole):
    again = search(whole, train=lambda *_: pytest.fail("trained again"))
    mask = again.run(progress=False)
    weights = dict(again.model.named_parameters())
    assert mask == again.mask and all(not weights[name][~kept].any() for name, kept in mask.items())
    assert accuracy(again.model.eval()) > 0.6


def told(folder: Path, model: nn.Module, **changes) -> int:
    """The same search by ask and tell: every third training is told late, every fifth by a new process."""
    there, late, count = search(folder, train=None, evaluate=None, **changes), [], 0

    def do(job):
        model.load_state_dict(job.weights)
        with torch.random.fork_rng():
            torch.manual_seed(job.seed + job.start)
            model.train()
            state = fit(model, job.mask, job.start, job.stop, job.total, job.seed, job.state) if job.stop else None
        with torch.no_grad():
            there.tell(job, likelihoods(model.eval()), state, model=model)

    while True:
        try:
            if (job := there.ask()) is None:
                return count
        except RunError:
            do(late.pop())
            continue
        count += 1
        late.append(job)
        if count % 3:
            do(late.pop(0))
        if count % 5 == 0:
            there.close()
            there, late = search(folder, train=None, evaluate=None, **changes), []


@pytest.mark.parametrize(
    "strategy",
    [SETTINGS["strategy"], "race", Screened(keep=2)],
    ids=["halving", "race", "screened"],
)
def test_ask_and_tell_give_the_record_of_run(tmp_path, strategy):
    changes = {"strategy": strategy, "levels": (0.6,)}
    search(tmp_path / "run", **changes).run(progress=False)
    told(tmp_path / "told", make(), **changes)
    ours, theirs = record(tmp_path / "told"), record(tmp_path / "run")
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name] != theirs[name]} == {"start"}, "it is not evaluated"


def test_a_cluster_gives_the_same_record(whole, cluster, tmp_path):
    with OnDask(cluster.scheduler_address) as executor:
        search(tmp_path / "there").run(executor=executor, progress=False)
    assert record(tmp_path / "there") == record(whole)


def test_a_training_without_state_begins_again_which_is_said_once(tmp_path, caplog):
    calls = []

    def train(*args):
        calls.append(args[2:4])
        fit(*args)

    stages = {"evaluate_every": None, "levels": (0.5,)}
    with caplog.at_level(logging.WARNING, "randprune_lab"):
        search(tmp_path / "none", train=train, **stages).run(progress=False)
    search(tmp_path / "state", **stages).run(progress=False)
    assert {start for start, _ in calls} == {0} and len({stop for _, stop in calls}) > 2
    assert sum("train returned no state" in message for message in caplog.messages) == 1
    winner = [
        read_journal(tmp_path / name)["search-level-1/selection"]["rounds"][0]["scores"] for name in ("none", "state")
    ]
    assert winner[0] == winner[1]


def test_a_single_score_is_enough_without_a_race(tmp_path):
    there = search(tmp_path / "search", evaluate=accuracy, strategy="halving")
    mask = there.run(progress=False)
    units = read_journal(tmp_path / "search")
    assert mask.sparsity == pytest.approx(0.8, abs=1e-3) and units["examples"] == {"number": 0}
    assert math.isfinite(units["search-level-2"]["score"]) and there.best.confidence is None


@pytest.mark.parametrize(("keep_best", "score"), [(True, 99.0), (False, 94.0)], ids=["best", "last"])
def test_the_score_of_a_level_is_that_of_its_weights(tmp_path, keep_best, score):
    """Every evaluation is worse than the one before: 100 for the model before pruning, then six of the winner."""
    seen = []

    def evaluate(model):
        seen.append({name: weight.clone() for name, weight in model.state_dict().items()})
        return 101.0 - len(seen)

    one = {"levels": (0.5,), "candidates": 1, "keep_best": keep_best}
    there = search(tmp_path / "search", evaluate=evaluate, **one)
    there.run(progress=False)
    assert there.best.score == score
    weights = seen[int(100 - score)]
    assert all(torch.equal(weights[name], weight) for name, weight in there.model.state_dict().items())


def test_the_result_has_every_level_and_the_certainty_of_its_choice(whole, tmp_path):
    there = search(whole)
    first, last = there.result()
    assert [first.level, last.level] == [1, 2] and there.best.level == 2 and there.mask == last.mask
    units = read_journal(whole)
    for found in (first, last):
        name = f"search-level-{found.level}"
        assert found.winner == units[name]["winner"] and found.mask.sha256 == units[name]["mask_sha256"]
        assert found.steps == units[f"{name}/selection"]["steps"] and found.scores.keys() == {0, 1, 2, 3}
        assert found.confidence.chance_of_best.sum() == pytest.approx(1)
        assert found.scores[found.winner] == pytest.approx(found.confidence.scores[found.confidence.winner])
    with pytest.raises(RunError, match="has no finished level yet"):
        _ = search(tmp_path / "new").best


# --- what is refused ---


@pytest.mark.parametrize(
    "strategy",
    ["race", PairedRace(score="metric"), TrainAll(score="log-loss"), Screened(keep=2, then=PairedRace(score="metric"))],
    ids=["race", "by the score in the end", "log-loss", "screened"],
)
def test_a_strategy_that_needs_scores_of_examples_is_refused_before_any_training(tmp_path, strategy):
    refused = pytest.raises(ConfigError, match=r"compares scores of examples, but .* one score")
    never = {"train": lambda *_: pytest.fail("trained"), "strategy": strategy}
    with refused:
        search(tmp_path / "search", evaluate=accuracy, **never).run(progress=False)
    there = search(tmp_path / "told", evaluate=None, **never)
    job = there.ask()
    there.model.load_state_dict(job.weights)
    with refused:
        there.tell(job, 0.5)
    there.tell(job, [0.5, 0.6])
    there.close()
    search(tmp_path / "one", evaluate=accuracy, strategy=strategy, candidates=1).run(progress=False)


def grow(model):
    grow.rows = getattr(grow, "rows", 0) + 1
    return np.zeros(grow.rows)


def raise_dead(model, mask, *rest):
    for name, kept in mask.items():
        model.get_parameter(name).data[~kept] = 1.0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"evaluate": lambda model: math.nan}, RunError, "evaluate returned a score that is not finite for the model"),
        ({"evaluate": lambda model: [1.0, math.inf]}, RunError, "not finite"),
        ({"evaluate": lambda model: "good"}, RunError, "evaluate returned 'good' .* return a number, or an array"),
        ({"evaluate": lambda model: None}, RunError, "evaluate returned None"),
        ({"evaluate": lambda model: np.zeros((2, 3))}, RunError, r"array of shape \(2, 3\) .* one score for each"),
        ({"evaluate": lambda model: []}, RunError, r"array of shape \(0,\)"),
        ({"evaluate": grow}, RunError, "scores of 2 examples for candidate 0 .* but scores of 1 examples before"),
        ({"train": lambda *_: {"f": len}}, ConfigError, r"state\['f'\] cannot be stored: it is a builtin_function"),
        ({"train": lambda *_: {(1, 2): 3}}, ConfigError, r"its key \(1, 2\) is a tuple"),
        ({"train": raise_dead}, MaskError, "candidate 0 of level 1 left .* removed weights of .* enforce the mask"),
        ({"train": 3}, ConfigError, "train must be a function, got 3"),
        ({"evaluate": "accuracy"}, ConfigError, "evaluate must be a function, got 'accuracy'"),
        ({"train": None}, ConfigError, r"run\(\) needs train; give it to MaskSearch, or use ask\(\) and tell\(\)"),
        ({"levels": (0.8, 0.5)}, ConfigError, "levels must be increasing, got 0.8 0.5"),
        ({"levels": 0.8}, ConfigError, "levels must be a list of sparsities, got 0.8"),
        ({"levels": ()}, ConfigError, "at least one sparsity"),
        ({"candidates": 0}, ConfigError, "candidates must be a whole number at least 1"),
        ({"steps": 1.5}, ConfigError, "steps must be a whole number, got 1.5"),
        ({"rule": []}, ConfigError, r"rule must be a rule .* got \[\]"),
        ({"rule": rp.Voting}, ConfigError, "rule must be a rule such as"),
        ({"strategy": "hlving"}, ConfigError, "did you mean 'halving'"),
        ({"strategy": 3}, ConfigError, "strategy must be a name such as 'halving', or a strategy, got 3"),
        ({"strategy": Screened(keep=9)}, ConfigError, "keep must be at most 4"),
        ({"criterion": "beauty"}, ConfigError, "unknown criterion 'beauty'"),
        ({"criterion": "fisher"}, ConfigError, "batches"),
        ({"criterion": "fisher", "batches": {"x": INPUTS}}, ConfigError, "got one batch of x; give a list"),
        ({"include": ["*.query"]}, ScopeError, "matches no parameter"),
    ],
    ids=lambda value: None if isinstance(value, type) else str(sorted(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_used_is_refused_in_words(tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        search(tmp_path / "search", **changes).run(progress=False)


def test_a_model_must_be_a_module(tmp_path):
    with pytest.raises(ConfigError, match=r"model must be a torch.nn.Module, got 'minilm'"):
        rp.MaskSearch("minilm", folder=tmp_path / "search", **SETTINGS)


class Extra(nn.Linear):
    """A layer whose state is no tensor."""

    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        pass


def test_a_model_whose_state_is_no_tensor_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="model has the extra state '_extra_state', a dict, which cannot be stored"):
        rp.MaskSearch(Extra(2, 2), folder=tmp_path / "search", **SETTINGS)


def test_one_candidate_of_the_magnitude_rule_is_iterative_magnitude_pruning(tmp_path):
    there = search(tmp_path / "search", rule=rp.Magnitude(), candidates=1)
    there.run(progress=False)
    first, last = (found.mask for found in there.result())
    assert not any((last[name] & ~first[name]).any() for name in last)
    assert [*read_journal(tmp_path / "search")] == ["examples", "start", "search-level-1", "search-level-2"]


@pytest.mark.parametrize(("rule", "same"), [(rp.Magnitude(), 3), ([rp.Magnitude(), rp.Voting(0.1)], 2)])
def test_candidates_with_the_same_mask_are_said_once(tmp_path, caplog, rule, same):
    with caplog.at_level(logging.WARNING, "randprune_lab"):
        search(tmp_path / "search", rule=rule, candidates=3).run(progress=False)
    assert [message for message in caplog.messages if "candidates have" in message] == [
        f"{same} of 3 candidates have the same mask and training seed, because rule Magnitude() draws nothing at "
        "random; use a random rule, such as voting, or fewer candidates"
    ]


@pytest.mark.parametrize("rule", [rp.Voting(0.1), [rp.Magnitude(), rp.Voting(0.1), rp.Uniform()]])
def test_candidates_with_masks_of_their_own_are_searched_without_a_warning(tmp_path, caplog, rule):
    search(tmp_path / "search", rule=rule, candidates=3).run(progress=False)
    assert "candidates have" not in caplog.text


def test_scores_of_any_floating_point_type_are_taken(tmp_path):
    for number, kind in enumerate((torch.bfloat16, torch.float16, torch.float64)):
        there = search(tmp_path / str(number), evaluate=lambda model, kind=kind: likelihoods(model).to(kind))
        there.run(progress=False)
        assert math.isfinite(there.best.score)


def test_a_criterion_without_scores_is_not_taken_for_the_magnitude(tmp_path):
    class Forgetful(Criterion):
        name = "forgetful"

        def scores(self, model, weights, batches, loss):
            """Forgets to return them."""

    with pytest.raises(RandpruneError, match="scores of criterion 'forgetful' must return a dict of tensors, got None"):
        search(tmp_path / "search", criterion=Forgetful()).run(progress=False)


def test_negative_scores_of_a_criterion_name_where_signed_is_given(tmp_path):
    def negative(model, batches):
        return {name: -weight.detach().abs() for name, weight in model.named_parameters()}

    with pytest.raises(RandpruneError, match=r"are negative; .* for a criterion Custom\(function, signed=True\)"):
        search(tmp_path / "search", criterion=negative).run(progress=False)
    search(tmp_path / "signed", criterion=Custom(negative, signed=True)).run(progress=False)


def test_candidates_are_drawn_by_the_scores_of_a_criterion(tmp_path):
    batches = [{"rows": torch.arange(start, start + 32)} for start in (0, 32, 64)]

    def loss(model, batch):
        return nn.functional.cross_entropy(model(INPUTS[batch["rows"]]), LABELS[batch["rows"]])

    def large_outputs_first(model, batches):
        return {name: weight.detach().abs() + torch.arange(24)[:, None] for name, weight in model.named_parameters()}

    one = {"rule": rp.Magnitude(), "candidates": 1}
    there = search(tmp_path / "fisher", criterion="fisher", batches=batches, loss=loss, **one)
    there.run(progress=False)
    scores = scores_of(make(), "fisher", batches, loss)
    expected = rp.MaskSampler(make(), rp.Magnitude(), 0.5, scores=scores).draw(0)
    assert there.result()[0].mask == expected != rp.MaskSampler(make(), rp.Magnitude(), 0.5).draw(0)
    assert read_journal(tmp_path / "fisher")["search-level-1"]["mask"]["criterion"]["criterion"] == "fisher"
    with pytest.raises(RunError, match=r"criterion was .*fisher.* and is now .*custom"):
        search(tmp_path / "fisher", criterion=large_outputs_first, **one).run(progress=False)


def test_an_allocation_is_recorded_with_its_settings(tmp_path):
    allocation = Around(spread=0.25, seed=1)
    there = search(tmp_path / "around", rule=rp.Magnitude(), candidates=1, allocation=allocation)
    there.run(progress=False)
    expected = rp.MaskSampler(make(), rp.Magnitude(), 0.5, allocation=allocation).draw(0)
    assert there.result()[0].mask == expected != rp.MaskSampler(make(), rp.Magnitude(), 0.5).draw(0)
    with pytest.raises(RunError, match=r"allocation was .*0\.25.* and is now .*0\.5"):
        search(tmp_path / "around", rule=rp.Magnitude(), candidates=1, allocation=Around(seed=1)).run(progress=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates": 5}, "candidates was 4 and is now 5; resume with the old value"),
        ({"rule": rp.Uniform()}, "rules was .* and is now"),
        ({"strategy": TrainAll()}, "strategy was .*halving.* and is now .*full"),
        ({"levels": (0.5, 0.9)}, "levels was"),
    ],
    ids=["candidates", "rule", "strategy", "levels"],
)
def test_other_settings_are_refused_by_name(whole, changes, message):
    with pytest.raises(RunError, match=message):
        search(whole, **changes).run(progress=False)


def test_other_weights_are_refused(whole):
    other = rp.MaskSearch(make(1), folder=whole, **SETTINGS)
    with pytest.raises(RunError, match=r"the model has other weights than .*/start.safetensors, or choose"):
        other.run(progress=False)


def test_folders_of_runs_and_of_searches_are_not_mixed_up(whole, finished, config):
    with pytest.raises(
        RunError, match=r"has a search with training functions of your own \(rp.MaskSearch\), not a run"
    ):
        rp.RunRecord.load(whole)
    with pytest.raises(RunError, match=r"has a search .*, not a run"):
        rp.run(config, whole, resume=True, progress=False)
    with pytest.raises(RunError, match="has a run, not a search"):
        search(finished).run(progress=False)


def test_a_training_is_told_once_and_in_its_round(tmp_path):
    there = search(tmp_path / "search", train=None, evaluate=None)
    jobs = [there.ask() for _ in range(4)]
    with pytest.raises(RunError, match="4 trainings of this round were asked for; tell their scores first"):
        there.ask()
    there.model.load_state_dict(jobs[0].weights)
    there.tell(jobs[0], np.zeros(3), {})
    with pytest.raises(RunError, match="not asked for, or is told already"):
        there.tell(jobs[0], np.zeros(3), {})
    with pytest.raises(MaskError, match="removed weights"):
        there.tell(jobs[1], np.zeros(3), {}, model=make())
    there.model.load_state_dict(jobs[1].weights)
    with pytest.raises(RunError, match=r"scores of 4 examples for candidate 1 .* but scores of 3 examples before"):
        there.tell(jobs[1], np.zeros(4), {})
    there.close()
    with pytest.raises(RandpruneError, match="not asked for"):
        there.tell(jobs[1], np.zeros(3), {})


def test_a_damaged_state_begins_again_with_the_same_record(whole, tmp_path, caplog):
    calls = []

    def train(*args):
        calls.append(args[2:4])
        if len(calls) == 12:
            raise Stop
        return fit(*args)

    with pytest.raises(Stop):
        search(tmp_path / "cut", train=train).run(progress=False)
    states = sorted((tmp_path / "cut" / "checkpoints").glob("search-level-1.*.safetensors"))
    assert states
    for path in states:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    search(tmp_path / "cut").run(progress=False)
    assert record(tmp_path / "cut") == record(whole)
    assert "this training begins again" in caplog.text


def test_a_damaged_evaluation_is_made_again_although_its_training_went_further(whole, tmp_path):
    files, calls = tmp_path / "cut" / "predictions", []

    def stopped(*args):
        if (files / "search-level-1-candidate-1-steps-12.safetensors").exists():
            raise Stop
        return fit(*args)

    def noted(*args):
        calls.append(args[2:4])
        return fit(*args)

    with pytest.raises(Stop):
        search(tmp_path / "cut", train=stopped).run(progress=False)
    (files / "search-level-1-candidate-1-steps-4.safetensors").write_bytes(b"")
    search(tmp_path / "cut", train=noted).run(progress=False)
    assert record(tmp_path / "cut") == record(whole)
    assert all(start < stop for start, stop in calls), "no training goes back"


@pytest.mark.parametrize(("structure", "levels"), [("2:4", (0.5,)), ((3, 4), (0.5, 0.75))], ids=["2:4", "blocks"])
def test_a_search_keeps_a_structure(tmp_path, structure, levels):
    found = search(tmp_path / "search", structure=structure, levels=levels)
    mask = found.run(progress=False)
    assert mask.sparsity == levels[-1]
    groups = mask["0.weight"].reshape(-1, 4).sum(dim=1)
    assert set(groups.tolist()) == ({2} if structure == "2:4" else {0, 4})
    with pytest.raises(ConfigError, match="with structure '2:4', which keeps 2 of every 4"):
        search(tmp_path / "other", structure="2:4", levels=(0.6,))
    with pytest.raises(ScopeError, match="cannot be divided into blocks of 5 x 1"):
        search(tmp_path / "other", structure=(5, 1))
