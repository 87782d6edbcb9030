"""OpenVINO, imported where a network must be read or run, and without its telemetry."""

import sys
from typing import Any


def import_openvino() -> Any:
    """OpenVINO without its telemetry, which reports to a server, also offline, and leaves files in the home folder.

    It falls back on an empty stand-in where that package cannot be imported, so importing it is barred.
    """
    # None is how an import is barred.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
