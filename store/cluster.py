"""Joining a cluster of Ray's, or starting one here: nothing is sent home, and nobody is let in without a token."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from store.errors import ClusterError

LOCAL = "local"
_OBJECTS_BYTES = 256 * 2**20  # what comes of a task is small, and fetched at once


def import_ray() -> Any:
    """Ray, which sends nothing home.

    Raises:
        ClusterError: it is not installed.
    """
    # Both are read when it is imported.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    imported = "ray" in sys.modules
    try:
        import ray
    except ImportError as error:
        raise ClusterError("--ray needs Ray; run `pip install 'trapline[ray]'`, or use --shard without it") from error
    if imported and not ray.is_initialized():
        with contextlib.suppress(ImportError, AttributeError):
            ray._raylet.Config.initialize("")  # so that it looks at the environment again
    return ray


@contextmanager
def joined(address: str, *, insecure: bool) -> Iterator[Any]:
    """Within it this process belongs to a cluster; gives Ray. One that it belongs to already is used and not left.

    Args:
        address: HOST:PORT of a cluster, or `local` for one on this machine that ends with it.
        insecure: whether a cluster will do that asks nobody for a token.

    Raises:
        ClusterError: there is no token, Ray is not installed, or nothing answers at the address.
    """
    if address != LOCAL and not insecure:
        require_token(address)
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    settings: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        # No processes that wait for tasks nobody has (ours have an environment of their own), no figures nobody reads.
        os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
        os.environ.setdefault("RAY_enable_metrics_collection", "0")
        settings |= {"include_dashboard": False, "object_store_memory": _OBJECTS_BYTES}
    try:
        ray.init(**settings)
    except Exception as error:
        told = " ".join(str(error).split())
        raise ClusterError(
            f"--ray {address}: there is no cluster to be had ({told[:300]}); start one by `ray start --head` and give "
            "the address that it prints, and have its token here"
        ) from error
    # What happens to nodes is printed to stdout, where nothing but the outcome belongs; it is told by the runner.
    ray._private.worker._worker_logs_enabled = False
    try:
        yield ray
    finally:
        ray.shutdown()


def require_token(address: str) -> None:
    """Have this process show its token to a cluster.

    Raises:
        ClusterError: it has none, or was told not to.
    """
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    places = [Path(named)] if named else [Path.home() / ".ray" / "auth_token"]
    has_token = bool(os.environ.get("RAY_AUTH_TOKEN")) or any(place.is_file() for place in places)
    mode = os.environ.get("RAY_AUTH_MODE", "token").lower()
    if not has_token or mode == "disabled":
        lacking = "RAY_AUTH_MODE=disabled" if has_token else f"there is no token at {places[0]}"
        raise ClusterError(
            f"--ray {address}: {lacking}, and whoever reaches the ports of a cluster without one runs what he likes; "
            "make one by `ray get-auth-token --generate`, copy it to all nodes and start them again, or say "
            "--ray-insecure where nobody else reaches them"
        )
    os.environ["RAY_AUTH_MODE"] = mode


def short(error: BaseException) -> str:
    """The end of what Ray says of an error: what was raised at last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
