"""A cluster of Ray's: joining it, or starting one here, and comparing its machines with this one."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurize.errors import SettingsError
from featurize.pipeline.clip_worker import WorkOrder
from featurize.pipeline.node import NodeFacts, describe_node, difference
from store.ids import counted

LOCAL = "local"
_OBJECTS_BYTES = 256 * 2**20  # what comes of a clip is small, and fetched at once
_ANSWER_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Node:
    """A machine of the cluster.

    Attributes:
        node_id: what Ray calls it.
        name: how it is called in messages.
        workers: how many workers it has room for.
    """

    node_id: str
    name: str
    workers: int


def import_ray() -> Any:
    """Ray, which sends nothing home.

    Raises:
        SettingsError: it is not installed.
    """
    # Both are read when it is imported.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    imported = "ray" in sys.modules
    try:
        import ray
    except ImportError as error:
        raise SettingsError("--ray needs Ray; run `pip install 'trapline[ray]'`, or use --shard without it") from error
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
        SettingsError: there is no token, Ray is not installed, or nothing answers at the address.
    """
    if address != LOCAL and not insecure:
        require_token(address)
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    settings: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        settings |= {"include_dashboard": False, "object_store_memory": _OBJECTS_BYTES}
    try:
        ray.init(**settings)
    except Exception as error:
        told = " ".join(str(error).split())
        raise SettingsError(
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
        SettingsError: it has none, or was told not to.
    """
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    places = [Path(named)] if named else [Path.home() / ".ray" / "auth_token"]
    has_token = bool(os.environ.get("RAY_AUTH_TOKEN")) or any(place.is_file() for place in places)
    mode = os.environ.get("RAY_AUTH_MODE", "token").lower()
    if not has_token or mode == "disabled":
        lacking = "RAY_AUTH_MODE=disabled" if has_token else f"there is no token at {places[0]}"
        raise SettingsError(
            f"--ray {address}: {lacking}, and whoever reaches the ports of a cluster without one runs what he likes; "
            "make one by `ray get-auth-token --generate`, copy it to all nodes and start them again, or say "
            "--ray-insecure where nobody else reaches them"
        )
    os.environ["RAY_AUTH_MODE"] = mode


def nodes_of(ray: Any, cpus: int, *, gpu: bool) -> list[Node]:
    """The machines that are there now and have room for a worker."""
    found = []
    for node in ray.nodes():
        has = node.get("Resources", {})
        room = int(has.get("CPU", 0)) // cpus
        if gpu:
            room = min(room, int(has.get("GPU", 0)))
        if node["Alive"] and room > 0:
            name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            found.append(Node(node_id=node["NodeID"], name=name, workers=room))
    return found


def on_node(node: Node) -> Any:
    """Ray's way to say that something is to run on a machine and on no other."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node.node_id, soft=False)


def compare_nodes(
    ray: Any,
    nodes: Sequence[Node],
    order: WorkOrder,
    clips: Sequence[Path],
    on_warning: Callable[[str], None],
    *,
    secure: bool,
) -> NodeFacts:
    """Compare all machines with this one, and give the facts of this one.

    Args:
        ray: the library.
        nodes: the machines.
        order: what is to be done.
        clips: some of the clips, which every machine is to see.
        on_warning: called with a sentence on what may matter and stops nothing.
        secure: whether every machine must ask for a token.

    Raises:
        SettingsError: a machine has another version, other weights, no token, or sees none of the clips.
    """
    here = describe_node(order, clips)
    ask = ray.remote(num_cpus=0, max_retries=0)(describe_node)
    asked = [(node, ask.options(scheduling_strategy=on_node(node)).remote(order, list(clips))) for node in nodes]
    for node, answer in asked:
        try:
            there: NodeFacts = ray.get(answer, timeout=_ANSWER_S)
        except ray.exceptions.RayTaskError as error:
            raise SettingsError(f"node {node.name} cannot run Trapline ({short(error)}); install it there") from error
        except ray.exceptions.RayError as error:
            on_warning(f"node {node.name} does not answer ({short(error)})")
            continue
        require_alike(node, here, there, secure=secure)
        if any(here.readable) and not any(there.readable):
            raise SettingsError(
                f"node {node.name} sees none of {counted(len(clips), 'clip')} that were tried, such as {clips[0]}; "
                "mount their folder there under the same path, or leave the node out"
            )
        if there.readable != here.readable:
            on_warning(f"node {node.name} cannot read some of the clips that this machine can")
        if there.instructions != here.instructions:
            on_warning(
                f"node {node.name} has another kind of processor ({there.instructions}; here {here.instructions}): the "
                "last digits of its features may be others"
            )
        if there.reports:
            on_warning(
                f"Ray was started on node {node.name} without RAY_USAGE_STATS_ENABLED=0, and may send usage statistics"
            )
    return here


def require_alike(node: Node, here: NodeFacts, there: NodeFacts, *, secure: bool) -> None:
    """Raise SettingsError if a machine must not work on one store with this one, or is open to anyone."""
    differs = difference(here, there)
    if differs:
        raise SettingsError(
            f"node {node.name} cannot work with this machine: {differs}; install the same there, or leave the node out"
        )
    if secure and not there.token:
        raise SettingsError(
            f"node {node.name} asks nobody for a token, so that whoever reaches its ports runs what he likes; start it "
            "again with RAY_AUTH_MODE=token, or say --ray-insecure where nobody else reaches them"
        )


def short(error: BaseException) -> str:
    """The end of what Ray says of an error: what was raised at last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
