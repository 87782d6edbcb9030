"""Which servers are spoken to by SFTP: those that `ssh` knows, since a stranger could take a password."""

from pathlib import Path
from typing import Any

import paramiko


class KnownHosts(paramiko.MissingHostKeyPolicy):
    """Accepts the servers in the user's `~/.ssh/known_hosts` and the machine's, and no other."""

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        """Refuse a server unless a file says that this is its key.

        Raises:
            SSHException: none says so.
        """
        known = paramiko.HostKeys()
        for path in (Path("/etc/ssh/ssh_known_hosts"), Path.home() / ".ssh/known_hosts"):
            if path.is_file():
                known.load(str(path))
        if not known.check(hostname, key):
            raise UnknownHostKeyError(hostname)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KnownHosts)

    def __hash__(self) -> int:
        return hash(KnownHosts)

    def __repr__(self) -> str:
        return "KnownHosts()"  # fsspec tells connections apart by it


class UnknownHostKeyError(paramiko.SSHException):
    """A server whose key stands in no file of known hosts, or another one does."""
