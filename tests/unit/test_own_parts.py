"""docs/extending.md: the strategy, the advisor and the task of one's own keep every promise, in under 40 lines each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from engine.advisors.base import Advisor
from engine.search.base import SearchStrategy
from engine.testing.advisors import AdvisorConformance
from engine.testing.strategies import SEGMENT_STEPS, StrategyConformance
from engine.testing.tasks import TaskConformance
from tasks import registry
from tasks.base import Task

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"


def example(name: str) -> ModuleType:
    """A file of docs/examples, as a module."""
    module = ModuleType(name)
    exec(compile((EXAMPLES / f"{name}.py").read_text(), name, "exec"), module.__dict__)  # noqa: S102 - our own page
    return module


class TestMyStrategy(StrategyConformance):
    @pytest.fixture
    def make_strategy(self) -> Callable[[], SearchStrategy]:
        made = example("my_strategy").BetterOfTwo
        return lambda: made(SEGMENT_STEPS)


class TestMyAdvisor(AdvisorConformance):
    @pytest.fixture
    def make_advisor(self) -> Callable[[], Advisor]:
        made: Callable[[], Advisor] = example("my_advisor").HalveWhereItFalls
        return made


class TestMyTask(TaskConformance):
    @pytest.fixture
    def make_task(self) -> Callable[[], Task]:
        return lambda: registry.get(f"{EXAMPLES / 'my_task.py'}:Backwards")


@pytest.mark.parametrize("part", ["strategy", "advisor", "executor"])
def test_the_page_shows_the_examples_whole_and_short(part: str) -> None:
    text = (EXAMPLES / f"my_{part}.py").read_text()
    assert f"```python\n{text}```" in (ROOT / "docs" / "extending.md").read_text()
    assert text.count("\n") < 40
