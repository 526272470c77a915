"""A wrapper that runs a program and ties its lifetime to the parent process.

It is run by path in a child: `python -I -S guard.py --parent PID --signal N [...] -- COMMAND...`. It prepares the
process and then replaces itself with the command, so the process id stays the same.
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
    """Prepare this process according to the options, then replace it with the command."""
    parser = argparse.ArgumentParser(prog="guard")
    parser.add_argument("--parent", type=int, required=True, help="process id of the parent")
    parser.add_argument("--signal", type=int, required=True, help="signal to receive when the parent dies")
    parser.add_argument("--namespace-user", type=int, help="appear as this user in a new user namespace")
    parser.add_argument("--user", type=int, help="switch from root to this user")
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
        # After the change of user, which clears the setting.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, options.signal)
    if os.getppid() != options.parent:
        sys.exit("the starter is gone already")
    try:
        os.execvp(options.command[0], options.command)  # noqa: S606 - intentionally without a shell
    except OSError as error:
        print(f"cannot run {options.command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(127)


def _enter_user_namespace(user: int) -> None:
    """Appear as `user` inside a new namespace, with the file permissions of the actual user."""
    outer_user, outer_group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        sys.exit(f"user namespaces are not available: {os.strerror(ctypes.get_errno())}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {outer_user} 1")
    Path("/proc/self/gid_map").write_text(f"{user} {outer_group} 1")


if __name__ == "__main__":
    main()
