"""The guard of `offline/sitecustomize.py` holds in this process, in subprocesses and in kernels."""

import socket
import subprocess
import sys
import time

import nbclient
import pytest
from nbformat.v4 import new_code_cell, new_notebook

OUTSIDE = "192.0.2.1"  # TEST-NET-1 of RFC 5737: belongs to nobody
ATTEMPT = f"""
import socket
try:
    socket.create_connection(({OUTSIDE!r}, 80), timeout=5)
except PermissionError as error:
    print(error)
"""


UDP, IPV6 = {"type": socket.SOCK_DGRAM}, {"family": socket.AF_INET6}


@pytest.mark.parametrize(
    ("options", "call", "arguments"),
    [
        ({}, "connect", ((OUTSIDE, 80),)),
        ({}, "connect_ex", ((OUTSIDE, 80),)),
        (IPV6, "connect", (("2001:db8::1", 80),)),
        (UDP, "sendto", (b"hello", (OUTSIDE, 53))),
        (UDP, "sendmsg", ([b"hello"], (), 0, (OUTSIDE, 53))),
    ],
)
def test_no_packet_leaves(options, call, arguments):
    start = time.perf_counter()
    with socket.socket(**options) as sock, pytest.raises(PermissionError, match="refused"):
        getattr(sock, call)(*arguments)
    assert time.perf_counter() - start < 1  # nothing was waited for


@pytest.mark.parametrize("look_up", [socket.gethostbyname, socket.gethostbyaddr])
def test_no_name_is_looked_up(look_up):
    with pytest.raises(PermissionError, match="refused"):
        look_up("example.org")
    with pytest.raises(PermissionError, match="refused"):
        socket.getaddrinfo("example.org", 443)


def test_this_machine_is_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(("localhost", server.getsockname()[1]), timeout=5) as client:
            peer, _ = server.accept()
            with peer:
                client.sendall(b"hello")
                assert peer.recv(5) == b"hello"


def test_subprocesses_inherit_the_guard():
    result = subprocess.run(
        [sys.executable, "-c", ATTEMPT], capture_output=True, text=True, timeout=60, check=True
    )
    assert "refused" in result.stdout


def test_kernels_work_and_inherit_the_guard():
    notebook = new_notebook(cells=[new_code_cell("print(6 * 7)"), new_code_cell(ATTEMPT)])
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    texts = [cell.outputs[0].text for cell in notebook.cells]
    assert texts[0] == "42\n"
    assert "refused" in texts[1]
