"""A little ticket shop of another style than the reference booking system: HTML pages, cookies, baskets, a task page.

It exists to be rehearsed against by an adapter of about a hundred lines. It imports nothing of the other rooms.
"""
