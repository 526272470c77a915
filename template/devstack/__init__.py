"""The development stack: real servers and the complete service on this machine, without containers."""

import sys

if sys.platform == "win32":
    raise SystemExit("The development stack needs Linux or macOS. On Windows, run it inside WSL.")
