"""The themes: each is one palette, and everything on the screen takes its colours from there.

The app registers them; style sheets see a palette as Textual's theme variables, widgets take `palette(theme)` for what
they draw themselves. A colour never says something alone: a glyph and a word stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import Theme

PREFIX = "llmzero-"


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by meaning: `live` moves now, `wait` wants a human, `star` is the incumbent, `muted` recedes, `faint` is
    ornament and never the only place of a fact. `line`, `trail` and `raw` are the plot's, from near to far.
    `background` lies under everything, `surface` under a panel, `panel` under bars, `cursor` under the chosen line."""

    text: str
    muted: str
    faint: str
    live: str
    good: str
    warn: str
    bad: str
    wait: str
    star: str
    line: str
    trail: str
    raw: str
    background: str
    surface: str
    panel: str
    border: str
    primary: str
    cursor: str
    cursor_text: str
    cursor_blurred: str
    selection: str
    dark: bool = True

    def __getitem__(self, meaning: str) -> str:
        """The colour named by a `format.StateMark`."""
        return str(getattr(self, meaning))


_DARK = Palette(
    text="#c9d1d9", muted="#7d8896", faint="#4d5764", live="#7fb3d9", good="#8dbb8a", warn="#d9ad6a", bad="#d67b76",
    wait="#e0b05f", star="#e8c468", line="#7fb3d9", trail="#5f7286", raw="#33475a", background="#0e1116",
    surface="#12161c", panel="#1a2028", border="#2a323d", primary="#7fa7c9", cursor="#263445", cursor_text="#e8edf2",
    cursor_blurred="#1d252f", selection="#33506b",
)  # fmt: skip
_LIGHT = Palette(
    text="#2b3036", muted="#5c646f", faint="#a9adb2", live="#1c6299", good="#336b3b", warn="#85540c", bad="#a93a34",
    wait="#8f5207", star="#7d5700", line="#1c6299", trail="#8296a8", raw="#b9cbd9", background="#f3f1ec",
    surface="#faf9f6", panel="#e9e6df", border="#d3cec3", primary="#2f6690", cursor="#d5e1ea", cursor_text="#1d2227",
    cursor_blurred="#e6e9ea", selection="#b9d2e6", dark=False,
)  # fmt: skip
_CONTRAST = Palette(
    text="#ffffff", muted="#cfcfcf", faint="#a0a0a0", live="#8ad6ff", good="#6cf09a", warn="#ffc04d", bad="#ffa8a3",
    wait="#ffd54d", star="#ffe666", line="#8ad6ff", trail="#b8b8b8", raw="#7a7a7a", background="#000000",
    surface="#000000", panel="#161616", border="#9a9a9a", primary="#ffffff", cursor="#10305a", cursor_text="#ffffff",
    cursor_blurred="#242424", selection="#10305a",
)  # fmt: skip
_CONTRAST_LIGHT = Palette(
    text="#000000", muted="#3a3a3a", faint="#5c5c5c", live="#00407a", good="#0b4d1a", warn="#5e3600", bad="#8a0f0a",
    wait="#663c00", star="#5a4200", line="#00407a", trail="#4a4a4a", raw="#8c8c8c", background="#ffffff",
    surface="#ffffff", panel="#ececec", border="#5c5c5c", primary="#000000", cursor="#cfe4fa", cursor_text="#000000",
    cursor_blurred="#e2e2e2", selection="#cfe4fa", dark=False,
)  # fmt: skip
# Okabe and Ito's colours, told apart with every common form of colour blindness; darkened on light ground to be read.
_COLOUR_BLIND = Palette(
    text="#d4d8dd", muted="#8d96a2", faint="#545d69", live="#56b4e9", good="#14b38a", warn="#cc79a7", bad="#ec7326",
    wait="#e69f00", star="#f0e442", line="#56b4e9", trail="#66788c", raw="#3a4a5c", background="#0e1116",
    surface="#12161c", panel="#1a2028", border="#2f3844", primary="#56b4e9", cursor="#22384d", cursor_text="#f2f5f8",
    cursor_blurred="#1d252f", selection="#2c5577",
)  # fmt: skip
_COLOUR_BLIND_LIGHT = Palette(
    text="#22262b", muted="#5f6771", faint="#a3a8ae", live="#005f96", good="#006e50", warn="#91356a", bad="#a84300",
    wait="#855400", star="#6b5d00", line="#0072b2", trail="#7c8fa1", raw="#b5c8d8", background="#f3f1ec",
    surface="#faf9f6", panel="#e9e6df", border="#cdc8bd", primary="#0072b2", cursor="#d0e2f0", cursor_text="#15191d",
    cursor_blurred="#e4e8ea", selection="#b3d3ea", dark=False,
)  # fmt: skip

PALETTES: dict[str, Palette] = {
    "dark": _DARK,
    "light": _LIGHT,
    "high-contrast": _CONTRAST,
    "high-contrast-light": _CONTRAST_LIGHT,
    "colour-blind": _COLOUR_BLIND,
    "colour-blind-light": _COLOUR_BLIND_LIGHT,
}
"""By the names the settings have for them, in the order in which the theme action walks them."""


def _theme(name: str, colours: Palette) -> Theme:
    """Textual's view of a palette."""
    return Theme(
        name=PREFIX + name, primary=colours.primary, secondary=colours.trail, accent=colours.warn,
        foreground=colours.text, background=colours.background, surface=colours.surface, panel=colours.panel,
        success=colours.good, warning=colours.wait, error=colours.bad, dark=colours.dark,
        variables={
            "text-muted": colours.muted,
            "text-disabled": colours.muted,
            "border": colours.border,
            "border-blurred": colours.border,
            "block-cursor-background": colours.cursor,
            "block-cursor-foreground": colours.cursor_text,
            "block-cursor-text-style": "none",
            "block-cursor-blurred-background": colours.cursor_blurred,
            "block-cursor-blurred-foreground": colours.text,
            "footer-key-foreground": colours.wait,
            "scrollbar": colours.border,
            "scrollbar-hover": colours.faint,
            "scrollbar-active": colours.muted,
            "scrollbar-background": colours.surface,
            "scrollbar-background-hover": colours.surface,
            "scrollbar-background-active": colours.surface,
            "input-selection-background": colours.selection,
        },
    )  # fmt: skip


THEMES: dict[str, Theme] = {PREFIX + name: _theme(name, colours) for name, colours in PALETTES.items()}


def palette(theme: str) -> Palette:
    """The palette of a theme by its name; the dark one for themes that are not ours."""
    return PALETTES.get(theme.removeprefix(PREFIX), _DARK)


def theme_after(theme: str) -> str:
    """The name of the next theme, round and round."""
    names = list(THEMES)
    return names[(names.index(theme) + 1) % len(names)] if theme in names else names[0]


class ColourlessFilter(LineFilter):
    """Keeps what the cursor stands on visible by reversing it. `palette` says what the colours mean now."""

    def __init__(self, palette: Callable[[], Palette]) -> None:
        super().__init__()
        self._palette = palette

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        colours = self._palette()
        return [
            Segment(text, None if style is None else _bare(style, colours), control)
            for text, style, control in segments
        ]


@lru_cache(4096)
def _bare(style: Style, colours: Palette) -> Style:
    """A style without its colours."""
    ground = style.bgcolor.triplet.hex if style.bgcolor is not None and style.bgcolor.triplet else ""
    ink = style.color.triplet.hex if style.color is not None and style.color.triplet else ""
    chosen = ground in (colours.cursor, colours.selection)
    return style.without_color + Style(
        reverse=bool(style.reverse) or chosen,
        dim=ink in (colours.faint, colours.trail, colours.raw),
        bold=style.bold or ink in (colours.wait, colours.star),
    )
