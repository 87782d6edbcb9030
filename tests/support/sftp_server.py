"""A server of this machine that gives a folder out by SFTP, and may cut the connection."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paramiko
from remote_servers import Served

_ACCEPT_S = 0.1
_CUT_AFTER_BYTES = 2**10


@contextmanager
def sftp_served(folder: Path, known_hosts: Path) -> Iterator[Served]:
    """Serve `folder`, as /clips, to the user "me" whose password is "secret"; `known_hosts` is made to know the key.

    The faults are "cut": the connection, with all that goes over it, ends in the middle of the file; and "refused".
    """
    what = Served(folder)
    what.password = "secret"
    key = paramiko.ECDSAKey.generate()
    ended = threading.Event()
    transports: list[paramiko.Transport] = []

    def serve(listening: socket.socket) -> None:
        while not ended.is_set():
            with suppress(TimeoutError, OSError, EOFError, paramiko.SSHException):
                taken, _ = listening.accept()
                what.tries["connected"] += 1
                transport = paramiko.Transport(taken)
                transports.append(transport)
                transport.add_server_key(key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Folder, told=what, transport=transport)
                transport.start_server(server=_Door(what))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(_ACCEPT_S)
        port = listening.getsockname()[1]
        what.url = f"sftp://me:{what.password}@127.0.0.1:{port}/clips"
        known_hosts.parent.mkdir(parents=True, exist_ok=True)
        known_hosts.write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        try:
            yield what
        finally:
            ended.set()
            thread.join()
            for transport in transports:
                transport.close()


class _Door(paramiko.ServerInterface):
    def __init__(self, told: Served) -> None:
        self._told = told

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL if (username, password) == ("me", self._told.password) else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Folder(paramiko.SFTPServerInterface):
    def __init__(self, server: Any, *, told: Served, transport: paramiko.Transport) -> None:
        super().__init__(server)
        self._told = told
        self._transport = transport

    def _at(self, path: str) -> Path:
        return self._told.folder / self.canonicalize(path).removeprefix("/clips").lstrip("/")

    def list_folder(self, path: str) -> Any:
        at = self._at(path)
        if not at.is_dir():
            return paramiko.SFTP_NO_SUCH_FILE
        return [_attributes(each) for each in sorted(at.iterdir())]

    def stat(self, path: str) -> Any:
        at = self._at(path)
        return _attributes(at) if at.exists() else paramiko.SFTP_NO_SUCH_FILE

    lstat = stat

    def open(self, path: str, flags: int, attr: Any) -> Any:
        at = self._at(path)
        self._told.asked[at.name, False] += 1
        if self._told.faults.get(at.name) == "refused":
            return paramiko.SFTP_PERMISSION_DENIED
        if not at.is_file():
            return paramiko.SFTP_NO_SUCH_FILE
        return _File(at, self._told, self._transport, flags)


class _File(paramiko.SFTPHandle):
    def __init__(self, path: Path, told: Served, transport: paramiko.Transport, flags: int) -> None:
        super().__init__(flags)
        self._path = path
        self._told = told
        self._transport = transport
        self.readfile = path.open("rb")

    def read(self, offset: int, length: int) -> Any:
        told, name = self._told, self._path.name
        if told.faults.get(name) == "cut" and told.tries[name] < told.times:
            if offset >= _CUT_AFTER_BYTES:
                told.tries[name] += 1
                self._transport.close()
            return super().read(offset, min(length, _CUT_AFTER_BYTES))
        return super().read(offset, length)

    def stat(self) -> Any:
        return _attributes(self._path)


def _attributes(path: Path) -> paramiko.SFTPAttributes:
    return paramiko.SFTPAttributes.from_stat(path.stat(), path.name)
