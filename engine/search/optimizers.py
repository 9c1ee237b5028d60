"""Optimisers of others over constant configurations, each trained equally long: Optuna's TPE, and CMA-ES (arXiv
1604.00772). A configuration is a point of the unit cube to them; fixed parameters are left out.

They are replayed from the tree at every question, so that a resumed run goes on as it was. Both need the extra `peers`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from engine.domain.space import Configuration, Parameter, Space, Value
from engine.domain.tree import Node
from engine.run.strategies import CMAESSettings, TPESettings, check_packages
from engine.search.base import Expansion
from engine.search.baselines import RootRuns
from engine.search.peer import SearchSituation, late_value


def free(space: Space) -> list[Parameter]:
    """The parameters that can vary, in the order of the space."""
    return [p for p in space if not p.fixed]


def encode(space: Space, configuration: Configuration) -> list[float]:
    """A coordinate in [0, 1] for each free parameter, see `Parameter.place`."""
    return [p.place(configuration[p.name]) for p in free(space)]


def decode(space: Space, point: Sequence[float]) -> dict[str, Value]:
    """The allowed configuration nearest to a point; fixed parameters at their value."""
    return space.default() | {p.name: p.at(place) for p, place in zip(free(space), point, strict=True)}


class TPE(RootRuns):
    """See the module. Raises UserError where Optuna is not installed."""

    def __init__(self, segment_steps: int, space: Space, seed: int, settings: TPESettings) -> None:
        super().__init__(segment_steps, settings.segments)
        check_packages("tpe")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna: Any = optuna
        self._space = space
        self._seed = seed
        self._startup = settings.startup

    def changes(self, number: int, here: SearchSituation) -> Mapping[str, Value] | None:
        if number == 0:
            return {}
        optuna, names = self._optuna, [p.name for p in free(self._space)]
        axes = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names}
        seed = zlib.crc32(f"tpe/{self._seed}/{number}".encode())
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=self._startup)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for root_run in here.starts:
            ended = here.lineage.ended(here.lineage.continuation(root_run)) if root_run is not None else []
            if root_run is not None and ended:
                point = dict(zip(names, encode(self._space, root_run.configuration), strict=True))
                study.add_trial(optuna.create_trial(params=point, distributions=axes, value=late_value(ended)))
        asked = study.ask(axes).params
        configuration = decode(self._space, [asked[name] for name in names])
        return self._space.changes(self._space.default(), configuration)


class CMAES(RootRuns):
    """See the module. Raises UserError where the package cmaes is not installed."""

    def __init__(self, segment_steps: int, space: Space, seed: int, settings: CMAESSettings) -> None:
        super().__init__(segment_steps, settings.segments)
        check_packages("cmaes")
        import cmaes

        self._cmaes: Any = cmaes
        self._space = space
        self._seed = zlib.crc32(f"cmaes/{seed}".encode())
        self._settings = settings

    def next(self, here: SearchSituation) -> Expansion | None:
        complete = len(here.starts) % self._settings.population == 0
        if complete and here.lineage.busy() and not self._unfinished(here):
            return None  # a generation is told as a whole
        return super().next(here)

    def changes(self, number: int, here: SearchSituation) -> Mapping[str, Value] | None:
        if number == 0:
            return {}
        import numpy as np

        size, axes = self._settings.population, len(free(self._space))
        blind = max(0, 2 - axes)  # the optimiser wants two dimensions at least
        start = np.array([*encode(self._space, self._space.default()), *[0.5] * blind])
        bounds = np.array([[0.0, 1.0]] * len(start))
        optimiser = self._cmaes.CMA(
            mean=start, sigma=self._settings.sigma, bounds=bounds, seed=self._seed, population_size=size
        )
        for first in range(0, number - number % size, size):
            asked = [optimiser.ask() for _ in range(size)]
            root_runs = here.starts[first : first + size]
            optimiser.tell([self._told(here, root_run, x) for root_run, x in zip(root_runs, asked, strict=True)])
        point = [optimiser.ask() for _ in range(number % size + 1)][-1]
        return self._space.changes(self._space.default(), decode(self._space, point[:axes].tolist()))

    def _told(self, here: SearchSituation, root_run: Node | None, asked: Any) -> tuple[Any, float]:
        """Where a root run really was and what it cost (CMA-ES minimises); one that died cost most."""
        if root_run is None:
            return asked, 1.0
        told = asked.copy()
        told[: len(free(self._space))] = encode(self._space, root_run.configuration)
        return told, -late_value(here.lineage.ended(here.lineage.continuation(root_run)))
