"""The exercises of the course: solutions pass, stubs and common mistakes fail, and no exercise needs another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import pytest

from randprune_lab.exercises import ExerciseError, Source, read_sources
from randprune_lab.exercises.check import read_choices
from randprune_lab.exercises.copies import instructor_copy, student_copy
from randprune_lab.exercises.grade import check_answer
from randprune_lab.exercises.kernel import decode, encode
from randprune_lab.exercises.source import SOLUTION, exercise_of

COURSE = Path(__file__).parents[2] / "notebooks"
SOURCES = read_sources(COURSE / "exercises")
EXERCISES = [(source, exercise) for source in SOURCES for exercise in source.exercises]

CHOICES = read_choices()

every_exercise = pytest.mark.parametrize(
    ("source", "exercise"), EXERCISES, ids=[f"{source.name}-{exercise.name}" for source, exercise in EXERCISES]
)

FUNCTIONS = [(source, exercise) for source, exercise in EXERCISES if exercise.name not in CHOICES]
with_functions = pytest.mark.parametrize(
    ("source", "exercise"), FUNCTIONS, ids=[f"{source.name}-{exercise.name}" for source, exercise in FUNCTIONS]
)


def solve(source: Source, name: str, notebook: Any, answer: str | None = None) -> None:
    """Run the setup and one exercise as the grader does; `answer` replaces the answer in the notebook."""
    names: dict[str, Any] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and exercise_of(cell) in ("", name):
            own = answer is not None and cell.metadata.nbgrader.solution
            exec(compile(answer if own else cell.source, f"{source.name}, {name}", "exec"), names)
            if cell.metadata.nbgrader.solution:
                answer = names[name]
                names[name] = partial(sent, answer) if callable(answer) else decode(encode(answer))


def sent(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call a function with plain data, and return plain data."""
    arguments, keywords = decode(encode((arguments, keywords)))
    return decode(encode(function(*arguments, **keywords)))


@every_exercise
def test_the_solution_passes_the_check_without_other_exercises(source, exercise):
    solve(source, exercise.name, instructor_copy(source))


@every_exercise
def test_the_stub_fails(source, exercise):
    with pytest.raises(NotImplementedError, match="write your answer here"):
        solve(source, exercise.name, student_copy(source))


@every_exercise
def test_no_line_of_the_solution_is_in_the_students_copy(source, exercise):
    (cell,) = (cell for cell in source.notebook.cells if cell.metadata.nbgrader.grade_id == exercise.name)
    copy = "\n".join(cell.source for cell in student_copy(source).cells)
    lines = [line.strip() for line in SOLUTION.search(cell.source)[2].splitlines()]
    assert lines and not [line for line in lines if line and line in copy]


@pytest.mark.parametrize("answer", ["None", "0.5", "'x'", "[0.5, 0.5]", "{}"])
def test_an_answer_of_another_type_is_named_and_breaks_no_check(answer):
    for source, exercise in FUNCTIONS:
        with pytest.raises(ExerciseError) as raised:
            solve(source, exercise.name, source.notebook, f"def {exercise.name}(*_, **__): return {answer}")
        named = "return what it computed" in str(raised.value) or exercise.name == "embed"  # which names the shape
        assert named or answer != "None", exercise.name


MISTAKES = {
    "paired_error": "def paired_error(a, b):\n a, b = (np.array(x, dtype=float) for x in (a, b))\n"
    " return a.mean() - b.mean(), ((a.var(ddof=1) + b.var(ddof=1)) / len(a)) ** 0.5",
    "conclusion": "def conclusion(found, t):\n arm = t * np.std(found) / len(found) ** 0.5\n"
    " return 'better' if np.mean(found) > arm else 'worse' if np.mean(found) < -arm else 'cannot tell'",
    "spearman": "def spearman(early, final): return np.corrcoef(early.argsort(), final.argsort())[0, 1]",
    "log_likelihood": "def log_likelihood(logits, _): return torch.log_softmax(logits, 1).max(1).values.mean()",
    "mask_share": "def mask_share(scores):\n mask, seed = scores.mean(1).var(ddof=1), scores.var(1, ddof=1).mean()\n"
    " return mask / (mask + seed)",
    "worth": "def worth(score, mean, spread, noise):\n kept = spread / (spread + noise) if spread + noise else 0\n"
    " return mean + kept * (score - mean)",
    "chance_of_best": "def chance_of_best(right, drawn):\n best = right[:, drawn].sum(2).argmax(0)\n"
    " return np.bincount(best, minlength=len(right)) / len(drawn)",
    "halving": "def halving(scores, stops):\n racing, spent = list(range(len(scores))), 0\n"
    " for place, stop in enumerate(stops):\n  spent += len(racing) * stop\n"
    "  racing.sort(key=lambda c: (-scores[c, place], c))\n  racing = racing[: (len(racing) + 1) // 2]\n"
    " return racing[0], spent",
    "shares_removed": "def shares_removed(levels): return [b - a for a, b in zip([0, *levels], levels)]",
    "next_mask": "def next_mask(weights, mask, k): return weights.abs() >= weights.abs().topk(k).values.min()",
    "prune_in_levels": "def prune_in_levels(weights, levels, change):\n for s in levels:\n"
    "  cut = weights.abs().sort().values[round(s * len(weights)) - 1]\n"
    "  weights = weights * (weights.abs() > cut) + change\n return weights",
    "zeros_in_file": "def zeros_in_file(weights, names):\n"
    " return sum((weights[n] == 0).float().mean() for n in names) / len(names)",
    "shrinks_by": "def shrinks_by(total, prunable, sparsity): return total / (total - sparsity * prunable)",
    "train_with_mask": "def train_with_mask(weights, kept, batches, rate):\n w = (weights * kept).requires_grad_()\n"
    " for x, y in batches:\n  (slope,) = torch.autograd.grad(nn.functional.mse_loss(x @ w.T, y), w)\n"
    "  w = (w - rate * slope).detach().requires_grad_()\n return w.detach()",
    "sparsity_of": "def sparsity_of(mask): return mask.double().mean().item()",
    "choose": "def choose(scores, n): return max(scores, key=lambda c: np.mean(scores[c][-n:]))",
    "verdict": "def verdict(low, high): return 'better' if low >= 0 else 'worse' if high < 0 else 'cannot tell'",
    "optimism": "def optimism(c, noise, n, seed):\n random = np.random.default_rng(seed)\n"
    " return random.normal(0, noise, (n, c)).max(axis=0).mean()",
    "largest": "def largest(weights, k): return weights.abs() >= weights.abs().topk(k).values.min()",
    "shares": "def shares(tensors, k):\n n = sum(t.numel() for t in tensors.values())\n"
    " return {name: k / n for name in tensors}",
    "file_bytes": "def file_bytes(n, kept): return {'dense': 4*n, 'bitmap': n//8 + 4*kept, 'indices': 8*kept}",
    "step": "def step(weights, gradient, mask, rate): return weights * mask - rate * gradient",
    "race": "def race(w, e, k, power): return np.argsort(-np.abs(w)**power / e)[::-1][:k]",
    "chances": "def chances(p, k): return k * p / p.sum()",
    "undecided": "def undecided(q, counts): return ((q > 1e-7) & (q < 1 - 1e-7)).mean()",
    "pareto": "def pareto(u, q, k): return u < q",
    "jaccard": "def jaccard(one, other): return (one & other).sum() / one.sum()",
    "expected_share": "def expected_share(q, counts): return (counts * q * (1 - q)).sum() / (2*(counts*q).sum())",
    "enough": "def enough(q, sure): return math.ceil(sure / q)",
    "embed": "def embed(distances): return np.linalg.eigh(-distances**2 / 2)[1][:, -2:]",
}


MORE_MISTAKES = [
    ("choose", "def choose(s, n): return int(np.argmax([np.mean(s[c][-n:]) for c in sorted(s)]))"),
    ("step", "def step(weights, gradient, mask, rate): return weights - rate * gradient * mask"),
    (
        "pareto",
        "def pareto(u, q, k):\n mask = np.zeros(len(u), bool)\n mask[np.argsort(u / q)[:k]] = True\n return mask",
    ),
    (
        "optimism",
        "def optimism(candidates, noise, repeats, seed):\n"
        " return np.random.normal(0, noise, (repeats, candidates)).max(axis=1).mean()",
    ),
]

RIGHT = [
    ("sparsity_of", "def sparsity_of(mask): return 1 - mask.float().mean()"),
    ("sparsity_of", "def sparsity_of(mask): return 1 - mask.float().mean().item()"),
    ("sparsity_of", "def sparsity_of(mask): return (~mask).sum() / mask.numel()"),
    ("sparsity_of", "def sparsity_of(mask): return float(np.mean(~mask.numpy()))"),
    ("choose", "def choose(s, n): return min(s, key=lambda c: (-sum(s[c][-n:]) / n, c))"),
    ("step", "def step(w, g, mask, rate): return torch.where(mask, w - rate * g, 0.0)"),
    (
        "shares",
        "def shares(tensors, k):\n every = torch.cat([t.flatten() for t in tensors.values()]).abs()\n"
        " least = every.sort(descending=True).values[k - 1]\n"
        " return {name: (t.abs() >= least).float().mean() for name, t in tensors.items()}",
    ),
    ("pareto", "def pareto(u, q, k):\n keys = u * (1 - q) / (q * (1 - u))\n return keys <= np.sort(keys)[k - 1]"),
    ("spearman", "def spearman(a, b):\n from scipy.stats import spearmanr\n return spearmanr(a, b).statistic"),
    (
        "largest",
        "def largest(weights, k):\n w = [abs(x) for x in weights.tolist()]\n"
        " first = sorted(range(len(w)), key=lambda i: (-w[i], i))[:k]\n return [i in first for i in range(len(w))]",
    ),
    (
        "largest",
        "def largest(weights, k):\n import numpy as np\n mask = np.zeros(len(weights), bool)\n"
        " mask[np.argsort(-np.abs(weights.numpy()), kind='stable')[:k]] = True\n return mask",
    ),
    (
        "file_bytes",
        "def file_bytes(n, k):\n import math\n"
        " return dict(dense=n * 4, bitmap=math.ceil(n / 8) + k * 4.0, indices=k * 8)",
    ),
    ("step", "def step(w, g, mask, rate): return [(a - rate * b) if m else 0 for a, b, m in zip(w, g, mask)]"),
    ("race", "def race(w, e, k, power): return sorted(range(len(w)), key=lambda i: e[i] / abs(w[i]) ** power)[:k]"),
    (
        "chances",
        "def chances(p, k):\n from scipy.optimize import brentq\n"
        " t = brentq(lambda t: (1 - np.exp(-p * t)).sum() - k, 0, 1e9)\n return -np.expm1(-p * t)",
    ),
    ("undecided", "def undecided(q, n): return sum(c for p, c in zip(q, n) if 1e-7 < p < 1 - 1e-7) / n.sum()"),
    (
        "pareto",
        "def pareto(u, q, k):\n keys = np.log(u / (1 - u)) - np.log(q / (1 - q))\n return keys.argsort().argsort() < k",
    ),
    (
        "jaccard",
        "def jaccard(a, b):\n n = np.sum(a | b)\n return np.float32(np.sum(a & b)) / np.float32(n) if n else 1",
    ),
    ("jaccard", "def jaccard(a, b): return torch.tensor(1.0 if not any(a | b) else sum(a & b) / sum(a | b))"),
    (
        "expected_share",
        "def expected_share(q, n):\n q, n = torch.tensor(q), torch.tensor(n)\n"
        " return (n * q * (1 - q)).sum() / (n * q).sum()",
    ),
    ("enough", "def enough(q, sure):\n n = 1\n while 1 - (1 - q) ** n < sure - 1e-12: n += 1\n return n"),
    (
        "embed",
        "def embed(d):\n n = len(d)\n j = np.eye(n) - np.ones((n, n)) / n\n"
        " u, s, _ = np.linalg.svd(-j @ (d * d) @ j / 2)\n"
        " return (u * s**0.5)[:, :2].tolist()",
    ),
    (
        "spearman",
        "def spearman(a, b):\n from scipy.stats import rankdata\n a, b = rankdata(a), rankdata(b)\n n = len(a)\n"
        " return 1 - 6 * ((a - b) ** 2).sum() / (n * (n * n - 1))",
    ),
    ("log_likelihood", "def log_likelihood(x, y): return -torch.nn.functional.cross_entropy(x, y)"),
    (
        "log_likelihood",
        "def log_likelihood(x, y):\n x = x.double().numpy()\n m = x.max(1)\n"
        " return (x[range(len(x)), y] - m - np.log(np.exp(x - m[:, None]).sum(1))).mean()",
    ),
    (
        "mask_share",
        "def mask_share(scores):\n from statistics import mean, variance\n s = mean(map(variance, scores.tolist()))\n"
        " m = variance([mean(row) for row in scores.tolist()]) - s / len(scores[0])\n return m / (m + s)",
    ),
    (
        "worth",
        "def worth(x, m, s, n):\n import torch\n"
        " return torch.tensor(m + (x - m) * (s * s / (s * s + n * n) if s + n else 0))",
    ),
    (
        "chance_of_best",
        "def chance_of_best(right, drawn):\n won = [0.0] * len(right)\n for row in drawn:\n"
        "  s = [right[c][row].sum() for c in range(len(right))]\n  best = [c for c, x in enumerate(s) if x == max(s)]\n"
        "  for c in best: won[c] += 1 / len(best) / len(drawn)\n return won",
    ),
    (
        "halving",
        "def halving(scores, stops):\n racing, spent, last = np.arange(len(scores)), 0, 0\n"
        " for r, stop in enumerate(stops):\n"
        "  spent, last = spent + len(racing) * (stop - last), stop\n"
        "  order = np.argsort(-scores[racing, r], kind='stable')\n  racing = racing[order[: -(-len(racing) // 2)]]\n"
        "  racing = np.sort(racing)\n return np.int64(racing[0]), np.int64(spent)",
    ),
    (
        "shares_removed",
        "def shares_removed(levels):\n import numpy as np\n left = 1 - np.array([0, *levels])\n"
        " return 1 - left[1:] / left[:-1]",
    ),
    (
        "next_mask",
        "def next_mask(w, mask, k):\n if k > sum(mask): raise ValueError\n"
        " kept = [i for i in range(len(w)) if mask[i]]\n"
        " kept = sorted(kept, key=lambda i: -abs(w[i]))[:k]\n return [i in kept for i in range(len(w))]",
    ),
    (
        "prune_in_levels",
        "def prune_in_levels(w, levels, change):\n for s in levels:\n  k = len(w) - round(s * len(w))\n"
        "  keep = sorted(range(len(w)), key=lambda i: -abs(w[i]))[:k]\n"
        "  w = torch.stack([w[i] + change[i] if i in keep else w[i] * 0 for i in range(len(w))])\n return w",
    ),
    (
        "paired_error",
        "def paired_error(a, b):\n from statistics import mean, stdev\n d = [x * 1.0 - y for x, y in zip(a, b)]\n"
        " return [mean(d), stdev(d) / len(d) ** 0.5]",
    ),
    (
        "conclusion",
        "def conclusion(d, t):\n from scipy.stats import sem\n m, e = np.mean(d), t * sem(d)\n"
        " return np.select([m > e, m < -e], ['better', 'worse'], 'cannot tell')",
    ),
    (
        "zeros_in_file",
        "def zeros_in_file(w, names): return (torch.cat([w[n].flatten() for n in names]) == 0).float().mean()",
    ),
    ("shrinks_by", "def shrinks_by(n, p, s): return torch.tensor(32 * n / (p + 32 * (n - round(s * p))))"),
    (
        "verdict",
        "def verdict(low, high): return np.array(['worse', 'cannot tell', 'better'])[1 + (low > 0) - (high < 0)]",
    ),
    ("undecided", "def undecided(q, counts): return np.dot((q > 1e-7) & (q < 1 - 1e-7), counts) / sum(counts)"),
]
"""Right answers in other styles: in float32, with NumPy, SciPy or plain Python."""


@with_functions
def test_a_common_mistake_fails(source, exercise):
    mistake = MISTAKES.get(exercise.name)
    assert mistake, f"MISTAKES has no common mistake for exercise {exercise.name}; add one that its check detects"
    with pytest.raises(ExerciseError, match="expected"):
        solve(source, exercise.name, source.notebook, mistake)


@pytest.mark.parametrize(("name", "mistake"), MORE_MISTAKES, ids=[name for name, _ in MORE_MISTAKES])
def test_another_common_mistake_fails(name, mistake):
    with pytest.raises(ExerciseError, match="expected"):
        solve(*asked(name), mistake)


def test_a_step_in_place_is_right_in_the_notebook_as_for_the_grader():
    answer = "def step(w, g, mask, rate):\n w -= rate * g\n w *= mask\n return w"
    source, name, _ = asked("step")
    names: dict[str, Any] = {}
    for code in (cell(source, "setup"), answer, cell(source, f"{name}-check")):
        exec(code, names)


@pytest.mark.parametrize(("name", "answer"), RIGHT, ids=[f"{name}-{place}" for place, (name, _) in enumerate(RIGHT)])
def test_a_right_answer_in_another_style_passes(name, answer):
    solve(*asked(name), answer)


def cell(source: Source, name: str) -> str:
    """The text of a cell."""
    return next(cell.source for cell in source.notebook.cells if cell.metadata.nbgrader.grade_id == name)


SAID = [
    ("sparsity_of", "def sparsity_of(mask): return 100 * (~mask).float().mean()", "This is a percentage"),
    (
        "largest",
        "def largest(w, k): return (w.abs() >= w.abs().topk(k).values.min()).float()",
        "each True or False, not",
    ),
    ("verdict", "def verdict(low, high): return 'Better' if low > 0 else 'Worse'", "spell it exactly as expected"),
    (
        "file_bytes",
        "def file_bytes(n, k): return 4 * n, -(-n // 8) + 4 * k, 8 * k",
        "the keys 'bitmap', 'dense', 'indices', not",
    ),
    ("step", "def step(w, g, mask, rate): return (w + rate * g) * mask", "First 1 - 0.5 × 1"),
    ("spearman", "def spearman(a, b): return -np.corrcoef(a.argsort(), b.argsort())[0, 1]", "Only the sign is wrong"),
    (
        "log_likelihood",
        "def log_likelihood(x, y): return torch.nn.functional.cross_entropy(x, y)",
        "Only the sign is wrong",
    ),
    ("jaccard", "def jaccard(a, b): return (a & b).sum() / np.float64((a | b).sum())", "where is 0 divided by 0?"),
    ("worth", "def worth(score, mean, spread, noise): return [82.0]", "Return a number, not a list of 1 item"),
    ("halving", "def halving(scores, stops): return 1", "Return a list of 2 items, each a number, not a number"),
    (
        "next_mask",
        "def next_mask(w, mask, k): return w.abs().topk(k).indices",
        "each True or False, not a list of 2 items",
    ),
    ("nothing", "def worth(score, mean, spread, noise): pass", "Does the function return what it computed?"),
]
"""What a check says first about a wrong type, shape, unit or sign."""


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(("name", "answer", "said"), SAID, ids=[name for name, *_ in SAID])
def test_a_message_is_about_the_mistake(name, answer, said):
    name = answer.partition("(")[0].removeprefix("def ")
    with pytest.raises(ExerciseError) as raised:
        solve(*asked(name), answer)
    assert said in str(raised.value)


def asked(name: str) -> tuple[Source, str, Any]:
    """The source of an exercise, its name and its notebook."""
    (source,) = (source for source, exercise in EXERCISES if exercise.name == name)
    return source, name, source.notebook


def test_every_lesson_has_at_least_three():
    lessons = {path.stem for path in COURSE.glob("*.ipynb")}
    assert {source.name for source in SOURCES} == lessons
    assert not [source.name for source in SOURCES if len(source.exercises) < 3]


def test_an_exercise_asks_for_what_has_its_name():
    for source, exercise in EXERCISES:
        defines = f"{exercise.name} = {{" if exercise.name in CHOICES else f"def {exercise.name}("
        assert defines in cell(source, exercise.name), exercise


def test_a_third_asks_to_interpret_to_control_or_to_change_a_run():
    assert CHOICES.keys() <= {exercise.name for _, exercise in EXERCISES}
    assert 3 * len(CHOICES) >= len(EXERCISES)
    assert all(set(CHOICES) & {exercise.name for exercise in source.exercises} for source in SOURCES)


def test_a_check_says_the_points_at_its_end():
    for source, exercise in EXERCISES:
        assert cell(source, f"{exercise.name}-check").endswith(f"\npassed({exercise.points})"), exercise.name


# --- points for parts ---


class Answered:
    """A kernel in which every function returns the same, and which has the given value."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.answer = answer

    def call(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        return self.answer(*arguments, **keywords)

    def value(self, name: str) -> Any:
        return self.answer()


def right_parts(source: Source, name: str, answer: Callable[..., Any]) -> float:
    """The fraction of the parts that an answer gets right."""
    names: dict[str, Any] = {}
    exec(cell(source, "setup"), names)
    wrong = check_answer(source, name, Answered(answer), names)
    return wrong.right if wrong else 1.0


TRIVIAL = {
    "None": lambda *_, **__: None,
    "0": lambda *_, **__: 0,
    "1.0": lambda *_, **__: 1.0,
    "True": lambda *_, **__: True,
    "an empty list": lambda *_, **__: [],
    "cannot tell": lambda *_, **__: "cannot tell",
    "the first argument": lambda *given, **_: given[0] if given else {},
}


@pytest.mark.parametrize("answer", TRIVIAL.values(), ids=TRIVIAL)
def test_an_answer_without_a_thought_gets_at_most_half(answer):
    points = {exercise.name: right_parts(source, exercise.name, answer) for source, exercise in EXERCISES}
    assert not {name: right for name, right in points.items() if right > 0.5}


def test_no_part_is_given_for_nothing():
    def fail(*_: Any, **__: Any) -> None:
        raise KeyError("no answer")

    points = {exercise.name: right_parts(source, exercise.name, fail) for source, exercise in EXERCISES}
    assert not {name: right for name, right in points.items() if right}


def test_an_edge_that_is_wrong_costs_its_part_only():
    source, name, _ = asked("jaccard")
    one_of_four = right_parts(source, name, lambda one, other: (one & other).sum() / max((one | other).sum(), 1))
    assert one_of_four == 3 / 4


# --- choices ---


WRONG = [
    (exercise, part, key, says)
    for exercise, parts in CHOICES.items()
    for part, about in parts.items()
    for key, says in about.get("says", {}).items()
]


@pytest.mark.parametrize(("name", "part", "key", "says"), WRONG, ids=["-".join(wrong[:3]) for wrong in WRONG])
def test_a_wrong_choice_gets_its_message_and_the_points_of_the_other_parts(name, part, key, says):
    right = CHOICES[name][part]["right"]
    answers = {other: about["right"] for other, about in CHOICES[name].items()}
    answers[part] = float(key) if isinstance(right, float | int) else key
    with pytest.raises(ExerciseError) as raised:
        solve(*asked(name), f"{name} = {answers!r}")
    assert str(raised.value) == f"{name}[{part!r}]: {answers[part]!r} is not right. {says}".replace(".0 is", " is")


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_names_its_parts_and_its_messages_do_not_give_numbers_away(name):
    source, _, _ = asked(name)
    form, text = cell(source, name).splitlines()[0], cell(source, f"{name}-text")
    for part, about in CHOICES[name].items():
        assert f'"{part}": ' in form and part in text.lower(), part
        right, said = about["right"], [*about.get("says", {}).values(), about.get("otherwise", "")]
        if isinstance(right, float | int) and right > 9:
            assert not [says for says in said if f"{right:,}" in says or f"{right:g}" in says], part
        assert about.get("otherwise") or about["says"], part


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("answers", [None, "C", ("C", 1), {}, {"claim": None}, ...], ids=repr)
def test_what_is_no_choice_is_named(name, answers):
    with pytest.raises((ExerciseError, TypeError), match=r"[Ee]xpected|missing"):
        solve(*asked(name), f"{name} = {answers!r}")


@pytest.mark.parametrize("style", [str.lower, lambda word: f" {word} "], ids=["small", "spaces"])
def test_a_letter_may_be_small_and_a_number_numpys(style):
    for name, parts in CHOICES.items():
        right = {part: about["right"] for part, about in parts.items()}
        styled = {part: style(value) if isinstance(value, str) else value for part, value in right.items()}
        solve(*asked(name), f"{name} = {styled!r}")


def test_the_sources_follow_the_rules_of_the_course():
    for source in SOURCES:
        nbformat.validate(source.notebook)
        code = [cell for cell in source.notebook.cells if cell.cell_type == "code"]
        assert not any(cell.outputs or cell.execution_count for cell in code)
        assert not [cell.source for cell in code if len(cell.source.splitlines()) > 15]
