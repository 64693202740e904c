import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from harness.errors import EnvironmentProblem, ExitCode
from harness.processes.ports import HOST, accepts, free_ports, require_free


def test_free_ports_are_distinct_and_can_be_bound() -> None:
    ports = free_ports(15)
    assert len(set(ports)) == 15
    for port in ports:
        with socket.socket() as server:
            server.bind((HOST, port))


_TAKER = (
    "import sys; from harness.processes.ports import free_ports;print(*free_ports(400), flush=True); sys.stdin.read()"
)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract socket addresses")
def test_two_processes_at_once_are_never_given_the_same_port() -> None:
    """By chance alone 400 of some 17,000 would meet 400 others nine times."""
    command = [sys.executable, "-c", _TAKER]
    with ExitStack() as running:
        takers = [
            running.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for _ in range(2)
        ]
        taken = [set(taker.stdout.readline().split()) for taker in takers if taker.stdout]
        for taker in takers:
            assert taker.stdin is not None
            taker.stdin.close()
    assert [len(ports) for ports in taken] == [400, 400]
    assert not taken[0] & taken[1]


def test_free_ports_lie_below_the_range_of_outgoing_connections() -> None:
    with socket.create_server((HOST, 0)) as server, socket.create_connection(server.getsockname()) as client:
        outgoing = client.getsockname()[1]
    assert max(free_ports(5)) < outgoing or outgoing < 32_768


def test_a_port_in_use_is_one_clear_line_and_exit_code_2() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(EnvironmentProblem, match=f"port {port} on 127.0.0.1 cannot be used") as caught:
            require_free(port)
        assert caught.value.exit_code == ExitCode.BAD_INPUT
        assert "\n" not in str(caught.value)
        assert accepts(port)
