import socket

import pytest

from harness.errors import EnvironmentProblem, ExitCode
from harness.stack.ports import HOST, accepts, free_ports, require_free


def test_free_ports_are_distinct_and_can_be_bound() -> None:
    ports = free_ports(15)
    assert len(set(ports)) == 15
    for port in ports:
        with socket.socket() as server:
            server.bind((HOST, port))


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
