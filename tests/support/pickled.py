"""Pickles that name anything, written by hand: what a checkpoint of somebody's may hold."""

import io
import pickle


class Global:
    """Pickles as a reference to a name, whether or not the module exists here."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Reference:
    """Pickles as a persistent reference."""

    def __init__(self, *parts: object) -> None:
        self.parts = parts


class Call:
    """Pickles as a call, which unpickling makes."""

    def __init__(self, function: Global, arguments: tuple[object, ...]) -> None:
        self.function, self.arguments = function, arguments


class _Pickler(pickle._Pickler):  # type: ignore[misc] # the Python pickler: its opcodes can be written by hand
    def save(self, obj: object, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Global):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Reference):
            self.save(obj.parts)
            self.write(pickle.BINPERSID)
        elif isinstance(obj, Call):
            self.save(obj.function)
            self.save(obj.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


def dumps(value: object) -> bytes:
    """`value` as a pickle of protocol 2."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue()
