"""The machines of a cluster of Ray's, and how they are compared with this one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurize.errors import SettingsError
from featurize.pipeline.clips.clip_worker import WorkOrder
from featurize.pipeline.cluster.node import NodeFacts, describe_node, difference
from featurize.runtime.threads import thread_variables
from store.cluster import short
from store.ids import counted

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


def surroundings(order: WorkOrder) -> dict[str, Any]:
    """The environment of workers: the same for all that is asked of a node, so that a process may serve twice."""
    return {"env_vars": {**thread_variables(order.threads), "TF_FORCE_GPU_ALLOW_GROWTH": "true"}}


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
    ask = ray.remote(num_cpus=0, max_retries=0, runtime_env=surroundings(order))(describe_node)
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
