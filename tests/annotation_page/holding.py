"""Answers that are held until a test lets them go."""

from __future__ import annotations

import time

from walking import TIMEOUT, Walk


class Hold:
    """Hold requests that match: with ``fetch`` the server handles them at once and the answer is late."""

    def __init__(
        self, walk: Walk, pattern: str, fetch: bool = True, method: str | None = None, count: int = 10**6
    ) -> None:
        self.held: list = []
        self.page, self.open, self.left = walk.page, False, count

        def handle(route) -> None:
            if self.open or not self.left or (method and route.request.method != method):
                return route.fallback()
            self.left -= 1
            self.held.append((route, route.fetch() if fetch else None))
            return None

        walk.page.route(pattern, handle)

    def wait(self, count: int = 1) -> None:
        end = time.monotonic() + TIMEOUT
        while len(self.held) < count:
            assert time.monotonic() < end, "no such request"
            self.page.wait_for_timeout(20)

    def release(self) -> None:
        self.open = True
        for route, answer in self.held:
            route.fulfill(response=answer) if answer else route.continue_()
        self.held.clear()
