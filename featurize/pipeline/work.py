"""Who carries out a plan: this process, a cluster, or whoever is added to the table.

The unit of work is `extract(plan.share(index, count), store)`: shares are apart and complete, and any number of
processes, on one machine or on many, may write into one store. A cluster's runner sends out shares and adds their
summaries up by `Summary.merged`.
"""

from collections.abc import Callable
from typing import Protocol

from featurize.backbones.runner import DeviceName, RuntimeName
from featurize.errors import SettingsError
from featurize.pipeline.cluster.ray_runner import run_on_ray
from featurize.pipeline.extract import extract
from featurize.pipeline.plan import Plan
from featurize.pipeline.summary import Progress, Summary
from store import FeatureStore


class WorkRunner(Protocol):
    """Carries out a plan."""

    def __call__(
        self,
        plan: Plan,
        store: FeatureStore,
        *,
        runtime: RuntimeName,
        device: DeviceName = "auto",
        workers: int | None,
        clips_per_part: int,
        on_clip: Callable[[Progress], None],
    ) -> Summary:
        """Do all of `plan`'s tasks, with the arguments of `extract`, and say what they came to."""
        ...


IN_PROCESS = "in_process"
RAY = "ray"
WORK_RUNNERS: dict[str, WorkRunner] = {IN_PROCESS: extract, RAY: run_on_ray}


def find_work_runner(name: str) -> WorkRunner:
    """The runner called `name`.

    Raises:
        SettingsError: there is none of that name.
    """
    if name not in WORK_RUNNERS:
        raise SettingsError(f"work runner {name!r} is unknown, expected one of {', '.join(WORK_RUNNERS)}")
    return WORK_RUNNERS[name]
