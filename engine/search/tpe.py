"""Tree-structured Parzen estimators over constant configurations, as Optuna has them (arXiv 2304.11127).

The study is built anew from the tree at every question, so that a resumed run goes on as it was. Needs the extra
`peers`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from engine.domain.space import Space, Value
from engine.run.strategies import TPESettings, check_packages
from engine.search.baselines import RootRuns
from engine.search.encoding import decode, encode, free
from engine.search.peer import SearchSituation, late_value


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
