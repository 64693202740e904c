"""TLS for the lean client: one context for the process, one resumable session for each user.

A user who comes back resumes, as a browser does; another user does not, because that is another browser: sharing
sessions between users would spare the platform the handshakes that a real crowd costs it. Trust comes from the system's
store; `SSL_CERT_FILE` names another.
"""

from __future__ import annotations

import functools
import ssl
from typing import Final

import gevent.socket
import gevent.ssl

from harness.errors import InputError

_LATE_TICKETS: Final = "TLSv1.3"


@functools.cache
def client_context(ca_file: str = "") -> gevent.ssl.SSLContext:
    """The one context of this process: verified certificates, HTTP/1.1 by ALPN. Sessions are bound to it.

    `ca_file`: certificates to trust besides the system's. Raises `InputError` when it has none.
    """
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the standard library's would block the loop
    context.load_default_certs()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            hint = "it must hold certificates in PEM"
            raise InputError(f"{ca_file} cannot be used as a CA file: {error}", hint=hint) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def handshake(
    raw: gevent.socket.socket, host: str, session: ssl.SSLSession | None, ca_file: str = ""
) -> gevent.ssl.SSLSocket:
    """Secure a connected socket, resuming `session` where the server still knows it. Raises OSError, ssl.SSLError.

    An end without the closing words of TLS is an error, not an end: a body that it ends may have been cut.
    """
    context = client_context(ca_file)
    return context.wrap_socket(raw, server_hostname=host, session=session, suppress_ragged_eofs=False)


def session_of(secured: gevent.ssl.SSLSocket) -> ssl.SSLSession | None:
    """What the next connection can resume; null: nothing yet. TLS 1.3 sends tickets after the handshake."""
    session: ssl.SSLSession | None = secured.session
    if session is None or (secured.version() == _LATE_TICKETS and not session.has_ticket):
        return None
    return session
