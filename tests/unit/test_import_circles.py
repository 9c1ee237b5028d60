"""What imports what: no module needs itself, through whatever others, at its top or within a function."""

from __future__ import annotations

from graphlib import TopologicalSorter

import grimp


def test_no_import_circle_in_the_packages() -> None:
    """Imports for the type checker alone do not count: they never run."""
    graph = grimp.build_graph("llmzero_tui", "engine", "tasks", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 200
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
