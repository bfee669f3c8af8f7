"""Refuse, before any packet leaves, every connection and look-up beyond this machine.

Python imports this file when it starts, if its folder is on PYTHONPATH: `conftest.py` puts it
there, so that kernels and subprocesses of the tests are held to the same rule. Two things it cannot
see: what compiled code does without Python's sockets, and the look-up of a name that is handed
straight to `socket.connect` (the connection itself is refused).

With JITTER=SEED in the environment the last digits of what torch and numpy compute are those of
another processor, see `tests/jitter/jitter.py`.
"""

import ipaddress
import os
import sys
from pathlib import Path

TO_ADDRESS = {"socket.connect", "socket.sendto", "socket.sendmsg"}  # (socket, address)
TO_NAME = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}  # (host, ...)


def is_here(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if not isinstance(host, str) or host in ("", "localhost"):
        return True  # None and "" mean this machine; a number belongs to no internet family
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False  # a name that somebody else would have to look up
    return address.is_loopback or address.is_unspecified


def refuse(event: str, arguments: tuple) -> None:
    if event in TO_NAME:
        host = arguments[0]
    elif event in TO_ADDRESS and isinstance(arguments[1], tuple):  # a path is a unix socket
        host = arguments[1][0]
    else:
        return
    if not is_here(host):
        raise PermissionError(f"the tests work without a network: {event} to {host!r} refused")


sys.addaudithook(refuse)

if os.environ.get("JITTER", "off") != "off" and "jitter" not in sys.modules:
    sys.path.append(str(Path(__file__).resolve().parents[1] / "jitter"))
    import jitter

    jitter.jitter(int(os.environ["JITTER"]))
