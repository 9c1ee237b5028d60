"""Two themes, dark and light, and the few colours that carry a meaning.

The app registers the themes; widgets take `palette(theme)` for what they draw themselves. A colour never says something
alone: a glyph and a word stand beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.theme import Theme

DARK = Theme(
    name="llmzero-dark",
    primary="#7fa7c9",
    secondary="#8f9bb3",
    accent="#d9ad6a",
    foreground="#c9d1d9",
    background="#0e1116",
    surface="#12161c",
    panel="#1a2028",
    success="#8dbb8a",
    warning="#d9ad6a",
    error="#d67b76",
    dark=True,
    variables={
        "border": "#2a323d",
        "border-blurred": "#2a323d",
        "block-cursor-background": "#263445",
        "block-cursor-foreground": "#e8edf2",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#1d252f",
        "block-cursor-blurred-foreground": "#c9d1d9",
        "footer-key-foreground": "#d9ad6a",
        "scrollbar": "#2a323d",
        "scrollbar-hover": "#3a4552",
        "scrollbar-active": "#4a5766",
        "scrollbar-background": "#12161c",
        "scrollbar-background-hover": "#12161c",
        "scrollbar-background-active": "#12161c",
        "input-selection-background": "#33506b",
    },
)
LIGHT = Theme(
    name="llmzero-light",
    primary="#2f6690",
    secondary="#5c6b80",
    accent="#a0661a",
    foreground="#2b3036",
    background="#f3f1ec",
    surface="#faf9f6",
    panel="#e9e6df",
    success="#3c7a45",
    warning="#a0661a",
    error="#b3403a",
    dark=False,
    variables={
        "border": "#d3cec3",
        "border-blurred": "#d3cec3",
        "block-cursor-background": "#d5e1ea",
        "block-cursor-foreground": "#1d2227",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#e6e9ea",
        "block-cursor-blurred-foreground": "#2b3036",
        "footer-key-foreground": "#a0661a",
        "scrollbar": "#cfc9bd",
        "scrollbar-hover": "#b9b2a4",
        "scrollbar-active": "#a39b8b",
        "scrollbar-background": "#faf9f6",
        "scrollbar-background-hover": "#faf9f6",
        "scrollbar-background-active": "#faf9f6",
        "input-selection-background": "#b9d2e6",
    },
)


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by meaning: `live` moves now, `wait` wants a human, `star` is the incumbent, `muted` recedes."""

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
    surface: str

    def __getitem__(self, meaning: str) -> str:
        """The colour named by a `format.Mark`."""
        return str(getattr(self, meaning))


_DARK = Palette(
    text="#c9d1d9", muted="#7d8896", faint="#4d5764", live="#7fb3d9", good="#8dbb8a", warn="#d9ad6a", bad="#d67b76",
    wait="#e0b05f", star="#e8c468", line="#7fb3d9", trail="#5f7286", raw="#33475a", surface="#12161c",
)  # fmt: skip
_LIGHT = Palette(
    text="#2b3036", muted="#6d7580", faint="#a9adb2", live="#1f6aa5", good="#3c7a45", warn="#96600f", bad="#b3403a",
    wait="#a8620a", star="#9a6b00", line="#1f6aa5", trail="#8296a8", raw="#b9cbd9", surface="#faf9f6",
)  # fmt: skip


def palette(theme: str) -> Palette:
    """The palette of a theme by its name; the dark one for themes that are not ours."""
    return _LIGHT if theme == LIGHT.name else _DARK
