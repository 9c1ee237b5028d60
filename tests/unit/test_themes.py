"""The themes can be read: contrast by the formula of WCAG 2.1, and colours that colour-blind eyes tell apart."""

from __future__ import annotations

import itertools
import math
from typing import get_args

import pytest

from llmzero_tui.styles.themes import PALETTES, PREFIX, THEMES, Palette, palette, theme_after
from llmzero_tui.user.preferences import Theme

MEANINGS = ("live", "good", "warn", "bad", "wait", "star")
GROUNDS = ("background", "surface", "panel")
HIGH = [name for name in PALETTES if name.startswith("high-contrast")]
# Brettel, Viénot and Mollon's simplification (Viénot 1999) on linear RGB, for eyes without red or without green cones.
BLIND = {
    "protan": ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0)),
    "deutan": ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0)),
}


def linear(colour: str) -> tuple[float, ...]:
    """The linear parts of a colour."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return tuple(p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black on white)."""
    light = [sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear(c), strict=True)) for c in (one, other)]
    return (max(light) + 0.05) / (min(light) + 0.05)


@pytest.mark.parametrize("name", PALETTES)
def test_every_theme_can_be_read(name: str) -> None:
    colours = PALETTES[name]
    for ground in GROUNDS:
        assert contrast(colours.text, colours[ground]) >= 7, ground
        assert contrast(colours.muted, colours[ground]) >= 4.5, ground
        for meaning in MEANINGS:
            assert contrast(colours[meaning], colours[ground]) >= 4.5, (meaning, ground)
    assert contrast(colours.cursor_text, colours.cursor) >= 7


@pytest.mark.parametrize("name", HIGH)
def test_high_contrast_is_high_for_every_word_even_under_the_cursor(name: str) -> None:
    colours = PALETTES[name]
    for ground in (*GROUNDS, "cursor", "cursor_blurred"):
        for meaning in ("text", "muted", *MEANINGS):
            assert contrast(colours[meaning], colours[ground]) >= 7, (meaning, ground)
        assert contrast(colours.faint, colours[ground]) >= 4.5, ground
    assert contrast(colours.border, colours.surface) >= 4.5
    assert contrast(colours.raw, colours.surface) >= 3


@pytest.mark.parametrize("name", ["colour-blind", "colour-blind-light"])
@pytest.mark.parametrize("eyes", BLIND)
def test_colour_blind_eyes_tell_good_from_bad(name: str, eyes: str) -> None:
    def seen(colours: Palette, meaning: str) -> tuple[float, ...]:
        parts = linear(colours[meaning])
        mixed = (sum(w * p for w, p in zip(row, parts, strict=True)) for row in BLIND[eyes])
        return tuple(max(0.0, part) ** (1 / 2.2) for part in mixed)

    def apart(colours: Palette, one: str, other: str) -> float:
        return math.dist(seen(colours, one), seen(colours, other))

    for one, other in itertools.combinations(("live", "good", "bad"), 2):
        assert apart(PALETTES[name], one, other) > 0.12, (one, other)
    ours, usual = apart(PALETTES[name], "good", "bad"), apart(PALETTES["dark"], "good", "bad")
    assert ours > usual, "the default theme tells them apart as well"


def test_the_settings_know_the_themes_and_no_others() -> None:
    assert get_args(Theme) == tuple(PALETTES)
    assert [theme.dark for theme in THEMES.values()] == [not name.endswith("light") for name in PALETTES]


def test_the_themes_go_round_and_each_has_its_palette() -> None:
    name, seen = PREFIX + "dark", []
    for _ in THEMES:
        seen.append(name)
        name = theme_after(name)
    assert sorted(seen) == sorted(THEMES)
    assert name == PREFIX + "dark"
    assert len({palette(each) for each in seen}) == len(THEMES)
