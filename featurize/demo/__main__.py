"""`python -m featurize.demo FOLDER`."""

import sys
from pathlib import Path

from featurize.demo.make import make_demo

make_demo(Path(sys.argv[1]))
