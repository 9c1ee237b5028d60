"""Generators of reasoning_gym are safe: only the right answer, alone between its tags, scores."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tasks import registry
from tasks.base import Split, Task, TaskError, TaskNotFound, split_of
from tasks.reasoning_gym import REFUSED, generators, same_answer

pytest.importorskip("reasoning_gym")

QUICK = (
    "basic_arithmetic", "binary_matrix", "chain_sum", "coin_flip", "cryptarithm", "game_of_life_halting", "gcd",
    "graph_color", "gsm_symbolic", "jugs", "kakurasu", "knights_knaves", "letter_jumble", "list_functions", "n_queens",
    "palindrome_generation", "power_function", "prime_factorization", "quantum_lock", "shortest_path", "tower_of_hanoi",
    "word_ladder",
)  # fmt: skip
JUNK = (
    "", " ", "junk", "0", "-1", "42", "yes", "None", "nan", "inf", "[]", "{}", "()", "[[]]", "#", "\x00", "1/0",
    "🙂" * 50, "(" * 3000, "9" * 3000, "9**9**9", "__import__('os').getcwd()", "R99999999999", "impossible", "¬P",
)  # fmt: skip


def check_safe(task: Task, count: int) -> None:
    """Gold scores 1; junk, hedged and untagged answers score 0; everything is finite and repeatable."""
    for item in task.items(Split.VALIDATION, count):
        gold = task.gold(item)
        assert gold is not None
        assert task.score("Let me think. " + gold, item).total == 1.0
        for junk in JUNK:
            for text in (junk, f"<answer>{junk}</answer>"):
                if not same_answer(junk, item.answer):
                    assert not task.score(text, item).correct, (text[:40], item)
        for hedged in (
            item.answer, f"The answer is {item.answer}.", f"<answer>{item.answer} or not</answer>",
            f"<answer>It is {item.answer}</answer>", f"<answer>{item.answer}\n{item.answer}</answer>",
            gold + gold, gold + " and more", gold[:-1], f"<answer>0</answer>{gold}", gold.upper(),
        ):  # fmt: skip
            assert not task.score(hedged, item).correct, hedged[:80]


@pytest.mark.parametrize("generator", QUICK)
def test_only_the_right_answer_alone_scores(generator: str) -> None:
    check_safe(registry.get(f"reasoning_gym/{generator}"), 3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_generator_that_is_not_refused_scores_anything_but_the_right_answer() -> None:
    assert len(generators()) + len(REFUSED) >= 106
    for generator in generators():
        check_safe(registry.get(f"reasoning_gym/{generator}"), 2)


@pytest.mark.parametrize("generator", ["chain_sum", "gsm_symbolic", "knights_knaves"])
def test_items_are_the_same_for_a_seed_and_disjoint_between_splits(generator: str) -> None:
    task, again = (registry.get(f"reasoning_gym/{generator}") for _ in range(2))
    assert task.items(Split.TRAIN, 20, seed=1) == again.items(Split.TRAIN, 20, seed=1)
    assert task.items(Split.TRAIN, 20, seed=1) != task.items(Split.TRAIN, 20, seed=2)
    for split in Split:
        assert {split_of(item.prompt) for item in task.items(split, 20)} == {split}


def partly_right(generator: str, gold: str) -> list[str]:
    """Answers in the right form that a careless scorer would take."""
    if generator == "graph_color":
        colors = json.loads(gold)
        vertices = list(colors)
        return [
            json.dumps({vertices[0]: colors[vertices[0]]}),
            json.dumps({vertex: colors[vertex] for vertex in vertices[:-1]}),
            json.dumps(dict.fromkeys(vertices, 99)),
            json.dumps({vertex: number for number, vertex in enumerate(vertices)}),
        ]
    if generator == "cryptarithm":
        pairs = gold.split(",")
        return [pairs[0], ",".join(pairs[:-1]), ",".join(pair[:2] + "0" for pair in pairs)]
    if generator == "word_ladder":
        words = gold.split(",")
        return [",".join(words[:-1]), ",".join(words[1:]), f"{words[0]},{words[0]}"]
    if generator == "jugs":
        return [json.dumps(json.loads(gold)[:-1]) if gold.count(",") else '["fill Z"]']
    if generator == "tower_of_hanoi":
        return ["\n".join(gold.splitlines()[:-1]), gold.splitlines()[0]]
    return {
        "coin_flip": ["0", "1"],
        "power_function": ["0", "1e-300", "1e300"],
        "quantum_lock": ["A", "B", "C"],
        "rubiks_cube": ["U", "R U"],
    }[generator]


@pytest.mark.parametrize(
    "generator",
    [
        "coin_flip", "cryptarithm", "graph_color", "jugs", "power_function", "quantum_lock", "rubiks_cube",
        "tower_of_hanoi", "word_ladder",
    ],
)  # fmt: skip
def test_an_answer_in_the_right_form_that_is_partly_right_does_not_score(generator: str) -> None:
    task = registry.get(f"reasoning_gym/{generator}")
    for item in task.items(Split.TRAIN, 4):
        for answer in partly_right(generator, item.answer):
            assert answer == item.answer or not task.score(f"<answer>{answer}</answer>", item).correct, (answer, item)


def test_several_right_answers_are_accepted() -> None:
    task = registry.get("reasoning_gym/countdown")
    item = task.items(Split.VALIDATION, 1)[0]
    assert task.score(f"<answer>({item.answer})</answer>", item).correct
    assert not task.score(f"<answer>{item.answer} + 0</answer>", item).correct


@pytest.mark.parametrize("generator", sorted(REFUSED))
def test_a_refused_generator_says_why_in_one_line(generator: str) -> None:
    with pytest.raises(TaskError, match="is refused: ") as caught:
        registry.get(f"reasoning_gym/{generator}")
    assert "\n" not in str(caught.value)


def test_an_unknown_generator_is_one_line_with_the_nearest() -> None:
    with pytest.raises(TaskNotFound, match=r"chain_summ' is unknown to reasoning_gym; nearest: chain_sum"):
        registry.get("reasoning_gym/chain_summ")


def test_without_the_package_one_line_says_what_to_install() -> None:
    code = (
        "import importlib.util as u, sys; real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'reasoning_gym' else real(name, *a)\n"
        "from tasks import registry\n"
        "try: registry.get('reasoning_gym/chain_sum')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("TaskNotFound tasks")
    assert 'pip install "llmzero-tui[reasoning-gym]"' in done.stdout
    assert done.stdout.count("\n") == 1
