"""How a worker ends its users: a large crowd takes long, and none may hold it up for ever."""

from __future__ import annotations

import gevent

from harness.swarm.control.stopping import stop


def lives(cleans_up_s: float) -> gevent.Greenlet:
    """A user who takes so long to clean up, and is known to have begun."""

    def live() -> None:
        try:
            gevent.sleep(60.0)
        finally:
            gevent.sleep(cleans_up_s)

    user = gevent.spawn(live)
    gevent.sleep(0)
    return user


def test_users_who_end_one_after_another_all_end_though_together_they_take_longer_than_the_silence() -> None:
    users = [lives(0.1 * nth) for nth in range(8)]
    assert stop(users, 0.3) == 0
    assert all(user.dead for user in users)


def test_a_user_who_does_not_end_is_counted_and_holds_up_nothing() -> None:
    stuck = lives(60.0)
    assert stop([lives(0.0), stuck], 0.1) == 1
    stuck.kill(block=False)


def test_users_who_have_not_begun_end_at_once() -> None:
    users = [gevent.spawn(gevent.sleep, 60.0) for _ in range(3)]
    assert stop(users, 5.0) == 0
    assert stop([], 5.0) == 0
