"""Applications that are built once and lent to one hive after the other.

To build them, FastAPI reads the types of a hundred routes: four fifths of what the start of a hive costs, and the same
each time. So each is built around a stand-in that passes everything on to the hive that has the application. It is
built for nobody, which fails should anything of a hive be kept in it.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from unittest import mock

from hyperhive.hive import daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hyperhive.hive.hive import Hive


class _Borrower:
    """Stands for the hive that has the application; for none, nothing is to be had of it."""

    def __init__(self) -> None:
        self.__dict__["of"] = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever it is
        return getattr(self.__dict__["of"], name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.__dict__["of"], name, value)


class _Lender:
    """Lends applications of one kind."""

    def __init__(self, build: Callable[[Any], Any]) -> None:
        self._build = build
        self._here: list[tuple[Any, _Borrower]] = []
        self._there: ContextVar[list[tuple[Any, _Borrower]]] = ContextVar(build.__name__)

    def stock(self) -> None:
        """Have one."""
        borrower = _Borrower()
        self._here.append((self._build(borrower), borrower))

    def __call__(self, hive: Hive) -> Any:  # noqa: ANN401 - an application
        if not self._here:
            self.stock()
        app, borrower = self._here.pop()
        borrower.__dict__["of"] = hive
        self._there.get().append((app, borrower))
        return app

    @contextmanager
    def taken_back(self) -> Iterator[None]:
        """What is lent in the block is here again after it."""
        token = self._there.set([])
        try:
            yield
        finally:
            for app, borrower in self._there.get():
                borrower.__dict__["of"] = None
                self._here.append((app, borrower))
            self._there.reset(token)


@contextmanager
def lent_apps() -> Iterator[None]:
    """Daemons of this process, and of those that are forked from it, borrow their applications."""
    lenders = [_Lender(daemon.agent_app), _Lender(daemon.operator_app)]
    serve = daemon._serve

    async def serve_with_borrowed(*arguments: Any, **more: Any) -> None:  # noqa: ANN401 - passed on
        with ExitStack() as stack:
            for lender in lenders:
                stack.enter_context(lender.taken_back())
            await serve(*arguments, **more)

    for lender in lenders:
        lender.stock()
    with mock.patch.multiple(daemon, _serve=serve_with_borrowed, agent_app=lenders[0], operator_app=lenders[1]):
        yield
