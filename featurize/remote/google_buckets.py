"""Google's buckets, spoken to by HTTP; a request is made once, since who fetches clips tries again."""

import inspect
from typing import Any

import gcsfs.core
from gcsfs.retry import HttpError
from requests.exceptions import ProxyError

_request_once = inspect.unwrap(gcsfs.core.GCSFileSystem._request)


class BucketFile(gcsfs.core.GCSFile):
    """An object of which all pieces are of the version that it had when it was opened."""

    def _fetch_range(self, start: int, end: int) -> Any:
        return self.fs.cat_file(self.path, start=start, end=end, generation=self.details.get("generation"))


class GoogleBuckets(gcsfs.core.GCSFileSystem):
    """The buckets that the credentials of this machine give access to, or those of everybody if it has none.

    What fsspec has for gs:// asks by gRPC which kind of bucket it is, where that fails at each opening anew.
    """

    def _open(self, path: str, mode: str = "rb", **told: Any) -> BucketFile:
        return BucketFile(self, path, mode, **told)

    async def _info(self, path: str, generation: str | None = None, **_: Any) -> Any:
        """The facts of an object as they are now, without a listing to see whether it is a folder."""
        return await self._get_object(path)

    async def _request(self, *words: Any, **told: Any) -> Any:
        """What a server answers.

        Raises:
            PermissionError: it answers 403.
            HttpError: it answers anything else of 400 and above, but 404.
        """
        try:
            return await _request_once(self, *words, **told)
        except ProxyError as error:
            raise HttpError({"code": 502}) from error
        except ValueError as error:
            raise HttpError({"code": 400, "message": str(error)}) from error
        except OSError as error:
            if str(error).startswith("Forbidden"):
                raise PermissionError(str(error)) from error  # gcsfs goes by how the words begin
            raise
