"""Pictures of what a human decides: a proposal in full, its form, and every question before an act."""

from __future__ import annotations

from llmzero_tui.screens.branch_from import BranchFrom
from llmzero_tui.screens.budget import BudgetScreen
from llmzero_tui.screens.decision import DecisionScreen
from llmzero_tui.screens.dialogs import AskText, Choose
from llmzero_tui.screens.edit import EditScreen
from llmzero_tui.screens.prune import PruneScreen
from tests.tui.live_engine import RUNNING
from tests.tui.pictures import USUAL, Size, Take, at_every_size, at_small_sizes


@at_every_size
def test_a_decision(picture: Take, size: Size) -> None:
    assert picture(size, "i", "enter", on=DecisionScreen)


def test_a_decision_that_was_made(picture: Take) -> None:
    assert picture(USUAL, "d", on=DecisionScreen, node=11)


@at_small_sizes
def test_the_form_of_a_proposal(picture: Take, size: Size) -> None:
    assert picture(size, "i", "e", "down", on=EditScreen)


def test_the_form_says_what_is_wrong(picture: Take) -> None:
    assert picture(USUAL, "i", "e", "down", "9", "9", on=EditScreen)


@at_small_sizes
def test_from_where_to_branch(picture: Take, size: Size) -> None:
    assert picture(size, "i", "enter", "o", "down", on=BranchFrom)


@at_small_sizes
def test_a_subtree_is_about_to_be_pruned(picture: Take, size: Size) -> None:
    assert picture(size, "x", on=PruneScreen, node=5)


@at_small_sizes
def test_the_budget(picture: Take, size: Size) -> None:
    assert picture(size, "B", "2", "0", "0", "0", on=BudgetScreen)


@at_small_sizes
def test_a_note(picture: Take, size: Size) -> None:
    assert picture(size, "n", on=AskText, node=5)


@at_small_sizes
def test_the_run_is_about_to_be_stopped(picture: Take, size: Size) -> None:
    assert picture(size, "k", on=AskText, do="stop")


def test_a_segment_is_about_to_be_stopped(picture: Take) -> None:
    assert picture(USUAL, on=AskText, node=RUNNING, do="stop_node")


def test_the_gate(picture: Take) -> None:
    assert picture(USUAL, on=Choose, do="gate")


def test_a_proposal_is_about_to_be_rejected(picture: Take) -> None:
    assert picture(USUAL, "i", "r", on=AskText)
