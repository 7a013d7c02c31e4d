"""A pool of jobs on a cluster, by submitit: one job a task, submitted as one array."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from umup_diag.errors import InputError
from umup_diag.measure.pool import Pool

#: Options of submitit that mean the same on every cluster; others get the cluster's prefix.
COMMON = frozenset(
    {"name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node"}
)
CLUSTERS = ("slurm", "local")


def cluster_pool(cluster: str, options: Sequence[str], folder: Path) -> Pool:
    """A pool whose tasks are jobs of a cluster.

    Args:
        cluster: ``slurm``; or ``local``, jobs as processes here, to try it out.
        options: ``NAME=VALUE`` of submitit: partition=gpu, timeout_min=60, mem_gb=8.
        folder: for the jobs' pickles and logs; the jobs must see it.

    Raises:
        InputError: if submitit is not installed, there is no such cluster, or no such option.
    """
    if cluster not in CLUSTERS:
        raise InputError(f"--cluster {cluster}: there are {' and '.join(CLUSTERS)}.")
    try:
        import submitit
    except ImportError:
        raise InputError("--cluster needs submitit: pip install 'umup-diag[slurm]'.") from None
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(**_parameters(cluster, options))
    except (NameError, RuntimeError, TypeError, ValueError) as error:
        # NameError is what submitit says of an option that it does not have
        raise InputError(f"--cluster {cluster}: {str(error).splitlines()[0]}") from None
    return Pool(
        start=lambda: executor,
        cancel=lambda job: job.cancel(check=False),  # it may have ended since it was asked
        batch=lambda each: each.batch(),
    )


def _parameters(cluster: str, options: Sequence[str]) -> Mapping[str, Any]:
    given: dict[str, Any] = {"name": "umup-diag"}
    for each in options:
        name, equals, value = each.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"--cluster-option {each}: write NAME=VALUE, as in partition=gpu.")
        key = name if name in COMMON or name.startswith(f"{cluster}_") else f"{cluster}_{name}"
        given[key] = int(value) if value.isdigit() else value
    return given
