"""Only what was signed with the secret, unchanged and of late, is from the provider."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target.payments.signatures import TOLERANCE_S, SignatureError, sign, verify

NOW_S = 1_800_000_000.7


@given(body=st.binary(max_size=200), secret=st.text(min_size=1, max_size=40), delay_s=st.floats(-200, 200))
def test_what_was_signed_is_verified_within_the_tolerance(body: bytes, secret: str, delay_s: float) -> None:
    verify(secret, sign(secret, body, now_s=NOW_S), body, now_s=NOW_S + delay_s)


@given(body=st.binary(max_size=50), other=st.binary(max_size=50))
def test_another_body_does_not_fit(body: bytes, other: bytes) -> None:
    if body != other:
        with pytest.raises(SignatureError, match="does not fit"):
            verify("secret", sign("secret", body, now_s=NOW_S), other, now_s=NOW_S)


@pytest.mark.parametrize("delay_s", [TOLERANCE_S + 2, -TOLERANCE_S - 2])
def test_old_and_future_signatures_are_refused(delay_s: float) -> None:
    with pytest.raises(SignatureError, match="300 s"):
        verify("secret", sign("secret", b"{}", now_s=NOW_S), b"{}", now_s=NOW_S + delay_s)


def test_the_time_is_signed_too() -> None:
    header = sign("secret", b"{}", now_s=NOW_S).replace("t=1800000000", "t=1800000001")
    with pytest.raises(SignatureError, match="does not fit"):
        verify("secret", header, b"{}", now_s=NOW_S)


@pytest.mark.parametrize("secret", ["", "another"])
def test_another_secret_and_none_at_all_fit_nothing(secret: str) -> None:
    with pytest.raises(SignatureError, match="does not fit"):
        verify(secret, sign("secret", b"{}", now_s=NOW_S), b"{}", now_s=NOW_S)
    with pytest.raises(SignatureError, match="does not fit"):
        verify("", sign("", b"{}", now_s=NOW_S), b"{}", now_s=NOW_S)


@given(header=st.text(max_size=60))
@pytest.mark.parametrize("prefix", ["", "t=1800000000,v1="])
def test_no_other_header_is_believed(prefix: str, header: str) -> None:
    with pytest.raises(SignatureError):
        verify("secret", prefix + header, b"{}", now_s=NOW_S)
