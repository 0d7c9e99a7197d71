import copy
import dataclasses
import math

import pytest
import torch
from torch import nn

import randprune_lab as rp
from randprune_lab.errors import ConfigError
from randprune_lab.masks.scope import prunable
from randprune_lab.training.config import Distillation, TrainingConfig
from randprune_lab.training.distillation import Teacher
from randprune_lab.training.loop import Training, train
from randprune_lab.training.scoring import SplitScore, log_likelihood, predict, score

CONFIG = TrainingConfig(epochs=1, learning_rate=2e-3, batch_size=32, evaluate_every=4)


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_learns_the_tiny_task(lab):
    model = lab.model()
    config = dataclasses.replace(CONFIG, epochs=8, learning_rate=3e-3)
    history = train(model, lab.train, config, evaluate=SplitScore(lab.task, lab.validation))
    assert history.scores[-1] > 0.9
    assert history.losses[-1] < history.losses[0] / 2


def test_pruned_weights_are_zero_at_every_evaluation_and_at_the_end(lab):
    # AdamW's momentum and decay move a pruned weight unless it is set to zero after every step.
    model = lab.model()
    mask = rp.MaskSampler(model, rp.Voting(), sparsity=0.8).draw(0)
    seen = []

    def evaluate(model):
        parameters = dict(model.named_parameters())
        seen.append(max(parameters[name][~kept].abs().max().item() for name, kept in mask.items()))
        return 0.0

    train(model, lab.train, dataclasses.replace(CONFIG, evaluate_every=1), evaluate=evaluate, mask=mask)
    assert len(seen) == 12 and max(seen) == 0.0
    kept_moved = {name: (model.get_parameter(name)[kept] != 0).all() for name, kept in mask.items()}
    assert all(kept_moved.values())


def test_without_enforcement_the_optimizer_moves_pruned_weights(lab):
    """The test above can fail: without enforcement, pruned weights become nonzero again."""
    model = lab.model()
    mask = rp.MaskSampler(model, rp.Voting(), sparsity=0.8).draw(0)
    mask.apply_(model)
    train(model, lab.train, CONFIG, evaluate=lambda model: 0.0)
    assert any((model.get_parameter(name)[~kept] != 0).any() for name, kept in mask.items())


def test_the_same_seed_trains_to_the_same_bits_for_any_global_random_state(lab):
    ends = []
    for state in (1, 2):
        torch.manual_seed(state)
        before = torch.random.get_rng_state()
        model = lab.model()
        train(model, lab.train, CONFIG, evaluate=lambda model: 0.0)
        assert torch.equal(torch.random.get_rng_state(), before)
        ends.append(weights(model))
    assert equal(*ends)
    other = lab.model()
    train(other, lab.train, dataclasses.replace(CONFIG, seed=1), evaluate=lambda model: 0.0)
    assert not equal(ends[0], weights(other))


def test_evaluating_more_often_changes_nothing(lab):
    ends = []
    for every in (1, 100):
        model = lab.model()
        config = dataclasses.replace(CONFIG, evaluate_every=every)
        train(model, lab.train, config, evaluate=SplitScore(lab.task, lab.validation))
        ends.append(weights(model))
    assert equal(*ends)


def test_keep_best_ends_with_the_weights_of_the_earliest_best_score(lab):
    model, saved = lab.model(), []
    scores = iter([0.1, 0.9, 0.9])

    def evaluate(model):
        saved.append(weights(model))
        return next(scores)

    history = train(model, lab.train, dataclasses.replace(CONFIG, keep_best=True), evaluate=evaluate)
    assert history.steps == [4, 8, 12] and history.best == 1
    assert equal(weights(model), saved[1])


def test_the_best_weights_can_be_chosen_by_another_number_than_the_score(lab):
    """A training that diverges has no log-loss; such an evaluation is never the best."""
    model, saved = lab.model(), []
    alone = iter([math.nan, 0.5, 0.9])
    best = dataclasses.replace(CONFIG, keep_best=True)
    assert train(lab.model(), lab.train, best, evaluate=lambda model: next(alone)).best == 2
    found = iter([(0.9, math.nan), (0.1, -0.2), (0.8, -0.3)])

    def evaluate(model):
        saved.append(weights(model))
        return next(found)

    history = train(model, lab.train, best, evaluate=evaluate)
    assert history.best == 1 and history.scores == [0.9, 0.1, 0.8] and equal(weights(model), saved[1])


def test_without_keep_best_the_last_weights_count(lab):
    scores = iter([0.9, 0.1, 0.8])
    assert train(lab.model(), lab.train, CONFIG, evaluate=lambda model: next(scores)).best == 2


def test_a_part_that_is_kept_in_evaluation_mode_stays_so(lab):
    model = lab.model()
    frozen = next(part for part in model.modules() if isinstance(part, nn.Dropout))
    model.train()
    frozen.eval()
    predict(model, lab.validation)
    assert model.training and not frozen.training


def test_the_mean_log_likelihood_is_what_log_loss_chooses_by(lab):
    model = lab.model()
    logits = predict(model, lab.validation)
    value, judged = SplitScore(lab.task, lab.validation, log_loss=True)(model)
    assert value == SplitScore(lab.task, lab.validation)(model)
    assert judged == pytest.approx(log_likelihood(logits, lab.validation.labels).mean())


def test_the_last_step_is_always_evaluated(lab):
    config = dataclasses.replace(CONFIG, evaluate_every=5)
    history = train(lab.model(), lab.train, config, evaluate=lambda model: 0.0)
    assert history.steps == [5, 10, 12] and history.total_steps == 12


@pytest.mark.parametrize("term", ["labels", "logits", "attention", "hidden"])
def test_each_distillation_term_lowers_its_loss(lab, term):
    teacher_model = lab.model()
    longer = dataclasses.replace(CONFIG, epochs=8, learning_rate=3e-3)
    train(teacher_model, lab.train, longer, evaluate=lambda model: 0.0)
    teacher = Teacher(teacher_model, lab.train)
    settings = Distillation(**{**dict.fromkeys(("labels", "logits", "attention", "hidden"), 0.0), term: 1.0})
    student = lab.model(seed=1)
    mask = rp.MaskSampler(student, rp.Magnitude(), sparsity=0.5).draw(0)
    config = dataclasses.replace(longer, evaluate_every=8, distillation=settings)
    before = weights(teacher_model)
    history = train(student, lab.train, config, evaluate=lambda model: 0.0, mask=mask, teacher=teacher)
    assert history.losses[-1] < history.losses[0]
    assert equal(before, weights(teacher_model))


def test_a_student_equal_to_its_teacher_has_the_least_loss(lab):
    from randprune_lab.training.distillation import loss

    teacher = Teacher(lab.model(), lab.train)
    batch = lab.train.batch(list(range(16)))
    settings = Distillation(logits=1.0, attention=1.0, hidden=1.0)

    def value(student):
        student.set_attn_implementation("eager")
        teacher.model.set_attn_implementation("eager")
        return loss(student.eval(), batch, teacher, settings).item()

    entropy = torch.from_numpy(teacher.logits[:16]).softmax(-1)
    floor = float(-(entropy * entropy.log()).sum(-1).mean())
    assert value(lab.model()) == pytest.approx(floor, abs=1e-5)
    moved = lab.model()
    with torch.no_grad():
        for parameter in moved.bert.encoder.parameters():
            parameter.mul_(1.5)
    assert value(moved) > floor + 1e-3


def test_predictions_are_in_the_splits_order_and_without_dropout(lab):
    model = lab.model().train()
    logits = predict(model, lab.validation, batch_size=7)
    assert model.training
    one_by_one = torch.cat(
        [model.eval()(**_inputs(lab.validation.batch([row]))).logits.detach() for row in range(len(lab.validation))]
    )
    assert torch.allclose(torch.from_numpy(logits), one_by_one, atol=1e-5)
    assert score(lab.task, logits, lab.validation)["accuracy"] == (logits.argmax(1) == lab.validation.labels).mean()


def _inputs(batch):
    return {key: value for key, value in batch.items() if key not in ("labels", "rows")}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("batch_size", 0),
        ("warmup", 1.5),
        ("weight_decay", -0.1),
        ("max_grad_norm", 0.0),
        ("max_grad_norm", -1.0),
    ],
)
def test_settings_out_of_range_are_named(setting, value):
    with pytest.raises(ConfigError, match=rf"{setting} must be .*got {value}"):
        TrainingConfig(**{setting: value})


def test_a_loss_without_terms_is_refused():
    with pytest.raises(ConfigError, match="distillation has no loss"):
        Distillation(labels=0, logits=0)


@pytest.mark.parametrize("stops", [[1], [4], [5, 6, 11], [12], [0, 3, 99]])
def test_a_training_stopped_and_continued_elsewhere_ends_with_the_same_bits(lab, stops):
    """Dropout, momentum, learning rate, batches, scores and the best weights continue as if there were no stop."""
    config = dataclasses.replace(CONFIG, keep_best=True)
    whole = lab.model()
    mask = rp.MaskSampler(whole, rp.Voting(), sparsity=0.5).draw(0)
    history = train(whole, lab.train, config, evaluate=SplitScore(lab.task, lab.validation), mask=mask)

    evaluate, state = SplitScore(lab.task, lab.validation), None
    for stop in [*stops, None]:
        model = lab.model(seed=state.step if state else 0)  # its weights do not matter: `restore` replaces them
        training = Training(model, lab.train, config, mask=mask)
        if state:
            training.restore(state)
        training.run(evaluate, until=stop)
        state = training.state()
    training.keep_best()
    assert equal(weights(model), weights(whole))
    assert training.history == history


def test_a_state_does_not_change_when_its_training_continues(lab):
    training = Training(lab.model(), lab.train, CONFIG)
    training.run(lambda model: 0.0, until=5)
    state = training.state()
    before = weights(training.model), state.optimizer["state"][0]["exp_avg"].clone()
    saved = {name: tensor.clone() for name, tensor in state.weights.items()}
    training.run(lambda model: 0.0)
    assert equal(state.weights, saved) and torch.equal(state.optimizer["state"][0]["exp_avg"], before[1])
    training.restore(state)
    assert training.step == 5 and equal(weights(training.model), before[0])


# --- the gradients of removed weights ---


def loop_by_hand(model, data, config, mask, masked):
    """The training of `Training` in plain PyTorch, and the norms that it clipped by: of all weights, of kept ones."""
    training = Training(copy.deepcopy(model), data, config)  # for its batches and rates alone
    mask.apply_(model)
    parameters = dict(model.named_parameters())
    groups = [[p for p in parameters.values() if p.ndim >= 2], [p for p in parameters.values() if p.ndim < 2]]
    decays = (config.weight_decay, 0.0)
    optimizer = torch.optim.AdamW(
        [{"params": group, "weight_decay": decay} for group, decay in zip(groups, decays, strict=True)], fused=True
    )
    model.train()
    norms = []
    for step, rows in enumerate(training.batches):
        torch.manual_seed((config.seed * 0x9E3779B97F4A7C15 + step + 1) % 2**63)
        for group in optimizer.param_groups:
            group["lr"] = training.rate(step) * config.learning_rate
        batch = {key: value for key, value in data.batch(rows.tolist()).items() if key != "rows"}
        model(**batch).loss.backward()
        every = torch.cat([p.grad.flatten() for p in parameters.values()]).norm().item()
        for name, kept in mask.items() if masked else ():
            parameters[name].grad = parameters[name].grad * kept
        norms.append((every, torch.cat([p.grad.flatten() for p in parameters.values()]).norm().item()))
        torch.nn.utils.clip_grad_norm_(parameters.values(), config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        mask.apply_(model)
    return norms


CLIPPED = dataclasses.replace(
    CONFIG,
    max_grad_norm=0.02,
    vocabulary="whole",
    evaluate_every=100,
    distillation=Distillation(labels=1.0, logits=0.0),
)


def lively(model):
    """The model with larger weights: fresh ones are so small that only the head has gradients to speak of."""
    with torch.no_grad():
        for weight in prunable(model).values():
            weight.mul_(10.0)
    return model


@pytest.mark.parametrize("masked", [True, False])
def test_a_training_equals_a_loop_by_hand_with_or_without_gradients_of_removed_weights(lab, monkeypatch, masked):
    """To the bit; and the norm that gradients are clipped by is that of the kept weights, or of all."""
    ours, theirs = lively(lab.model()), lively(lab.model())
    mask = rp.MaskSampler(ours, rp.Voting(), sparsity=0.9).draw(0)
    norms = loop_by_hand(theirs, lab.train, CLIPPED, mask, masked)
    clip, seen = torch.nn.utils.clip_grad_norm_, []
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *given: seen.append(clip(*given).item()))
    training = Training(ours, lab.train, dataclasses.replace(CLIPPED, mask_gradients=masked), mask=mask)
    training.run(lambda model: 0.0)
    assert equal(weights(ours), weights(theirs))
    assert seen == pytest.approx([clipped for _, clipped in norms], rel=1e-5) and min(seen) > CLIPPED.max_grad_norm
    larger = [every / clipped for every, clipped in norms]
    assert min(larger) > 1.001 if masked else max(larger) == 1.0


def test_gradients_are_masked_by_default_and_only_while_a_training_runs(lab):
    model, other = lively(lab.model()), lively(lab.model())
    mask = rp.MaskSampler(model, rp.Voting(), sparsity=0.9).draw(0)
    train(model, lab.train, CLIPPED, evaluate=lambda model: 0.0, mask=mask)
    train(other, lab.train, dataclasses.replace(CLIPPED, mask_gradients=False), evaluate=lambda model: 0.0, mask=mask)
    assert not equal(weights(model), weights(other))
    model(**_inputs(lab.train.batch([0, 1])), labels=lab.train.batch([0, 1])["labels"]).loss.backward()
    assert all(model.get_parameter(name).grad[~kept].any() for name, kept in mask.items())


def test_a_training_without_a_mask_does_not_depend_on_the_setting(lab):
    ends = []
    for masked in (True, False):
        model = lab.model()
        config = dataclasses.replace(CLIPPED, mask_gradients=masked)
        train(model, lab.train, config, evaluate=lambda model: 0.0)
        ends.append(weights(model))
    assert equal(*ends)
