"""How pictures are kept. It stands in feature keys: another encoder, or other settings of it, are other features."""

from typing import Final, Literal

from store.key import PICTURES

QUALITY: Final = 90
SUBSAMPLING: Final[Literal["420"]] = "420"
ENCODING: Final = f"{PICTURES}q{QUALITY}-{SUBSAMPLING}-simplejpeg"
