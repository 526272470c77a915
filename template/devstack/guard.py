"""Becomes another program that does not outlive the process which started it.

Run by path, before anything else in a child: `python -I -S guard.py --parent PID --signal N [...] -- COMMAND...`.
It prepares the process and then replaces itself, so the child keeps its process id.
"""

import argparse
import ctypes
import os
import signal
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Prepare this process as the options say, then replace it with the command."""
    parser = argparse.ArgumentParser(prog="guard")
    parser.add_argument("--parent", type=int, required=True, help="process id of the starter")
    parser.add_argument("--signal", type=int, required=True, help="what to receive when the starter dies")
    parser.add_argument("--namespace-user", type=int, help="appear as this user in a user namespace of its own")
    parser.add_argument("--user", type=int, help="give up root and be this user")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if options.namespace_user is not None:
        _enter_user_namespace(options.namespace_user)
    if options.user is not None:
        os.setgroups([])
        os.setgid(options.user)
        os.setuid(options.user)
    if sys.platform == "linux":
        # After the change of identity, because that clears the setting.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, options.signal)
    if os.getppid() != options.parent:
        sys.exit("the starter is gone already")
    try:
        os.execvp(options.command[0], options.command)  # noqa: S606 - there is no shell on purpose
    except OSError as error:
        print(f"cannot run {options.command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(127)


def _enter_user_namespace(user: int) -> None:
    """Look like `user` from the inside while keeping the rights on files from the outside."""
    outer_user, outer_group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        sys.exit(f"user namespaces are not available: {os.strerror(ctypes.get_errno())}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {outer_user} 1")
    Path("/proc/self/gid_map").write_text(f"{user} {outer_group} 1")


if __name__ == "__main__":
    main()
