"""How many threads a network may take here, where several processes share a machine's processors."""

import os

from featurize.errors import SettingsError

THREADS_VARIABLE = "TRAPLINE_THREADS"


def thread_settings() -> dict[str, str]:
    """What OpenVINO is told of threads when it compiles a network: how many, if the variable TRAPLINE_THREADS says so.

    OpenVINO does not go by OMP_NUM_THREADS. By itself it binds each thread to a processor, counted from the first in
    every process: two processes of one thread each would share one processor, and a decoder that runs there too could
    not be made way for. Features are the same bits by any number of threads, wherever they run.

    Raises:
        SettingsError: it is no number of threads.
    """
    said = os.environ.get(THREADS_VARIABLE, "").strip()
    unbound = {"ENABLE_CPU_PINNING": "NO"}
    if not said:
        return unbound
    if not said.isdecimal() or int(said) < 1:
        raise SettingsError(f"{THREADS_VARIABLE}={said}: expected a number of threads, such as 2")
    return {"INFERENCE_NUM_THREADS": said, **unbound}


def thread_variables(threads: int) -> dict[str, str]:
    """The environment of a process whose networks are to take so many threads; libraries read it on import."""
    return {
        THREADS_VARIABLE: str(threads),
        "OMP_NUM_THREADS": str(threads),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": "1",
    }
