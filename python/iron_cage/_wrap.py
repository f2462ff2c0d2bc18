"""Functions of every kind, with something around each call: the same kind, name, signature and documentation."""

from __future__ import annotations

from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, Protocol

    class WrappedCall(Protocol):
        """One call of a wrapped function: opened before it, closed after it, and in between entered while its code runs.

        A generator's code does not run between two of its pieces.
        """

        def open(self) -> None: ...
        async def open_async(self) -> None: ...
        def enter(self) -> None: ...
        def leave(self) -> None: ...
        def close(self, error: BaseException | None) -> None: ...
        async def close_async(self, error: BaseException | None) -> None: ...

    Kind = Literal["plain", "coroutine", "generator", "asyncgen"]


def wrap(function: Callable[..., Any], new_call: Callable[[], WrappedCall]) -> Callable[..., Any]:
    kind = kind_of(function)
    wrapped = {
        "plain": _wrap_plain,
        "coroutine": _wrap_coroutine,
        "generator": _wrap_generator,
        "asyncgen": _wrap_asynchronous_generator,
    }[kind](function, new_call)
    return wraps(function)(wrapped)


def kind_of(function: Any) -> Kind:
    """By the flags of its code, as ``inspect`` does, which takes 10 ms to import."""
    while hasattr(function, "func") and not hasattr(function, "__code__"):  # functools.partial
        function = function.func
    if not hasattr(function, "__code__"):  # an object that can be called; a class has the code of type's
        function = type(function).__call__
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & 0x200:
        return "asyncgen"
    # 0x100: a generator that types.coroutine made awaitable.
    if flags & (0x80 | 0x100):
        return "coroutine"
    return "generator" if flags & 0x20 else "plain"


def _wrap_plain(function: Callable[..., Any], new_call: Callable[[], WrappedCall]) -> Callable[..., Any]:
    def plain(*args: Any, **arguments: Any) -> Any:
        call = new_call()
        call.open()
        call.enter()
        try:
            result = function(*args, **arguments)
        except BaseException as error:
            call.leave()
            call.close(error)
            raise
        call.leave()
        call.close(None)
        return result

    return plain


def _wrap_coroutine(function: Callable[..., Any], new_call: Callable[[], WrappedCall]) -> Callable[..., Any]:
    async def coroutine(*args: Any, **arguments: Any) -> Any:
        call = new_call()
        await call.open_async()
        call.enter()
        try:
            result = await function(*args, **arguments)
        except BaseException as error:
            call.leave()
            await call.close_async(error)
            raise
        call.leave()
        await call.close_async(None)
        return result

    return coroutine


def _wrap_generator(function: Callable[..., Any], new_call: Callable[[], WrappedCall]) -> Callable[..., Any]:
    def generator(*args: Any, **arguments: Any) -> Any:
        call = new_call()
        call.open()

        def step(action: Callable[..., Any], *values: Any) -> Any:
            call.enter()
            try:
                return action(*values)
            finally:
                call.leave()

        try:
            steps = function(*args, **arguments)  # none of its code runs yet
            piece = step(next, steps)
            while True:
                try:
                    sent = yield piece
                except GeneratorExit:
                    step(steps.close)
                    raise
                except BaseException as thrown:
                    piece = step(steps.throw, thrown)
                else:
                    piece = step(steps.send, sent)
        except StopIteration as end:
            result = end.value
        except BaseException as error:
            call.close(error)
            raise
        call.close(None)
        return result

    return generator


def _wrap_asynchronous_generator(
    function: Callable[..., Any], new_call: Callable[[], WrappedCall]
) -> Callable[..., Any]:
    async def asynchronous_generator(*args: Any, **arguments: Any) -> Any:
        call = new_call()
        await call.open_async()

        async def step(action: Callable[..., Any], *values: Any) -> Any:
            call.enter()
            try:
                return await action(*values)
            finally:
                call.leave()

        try:
            steps = function(*args, **arguments)
            piece = await step(steps.__anext__)
            while True:
                try:
                    sent = yield piece
                except GeneratorExit:
                    await step(steps.aclose)
                    raise
                except BaseException as thrown:
                    piece = await step(steps.athrow, thrown)
                else:
                    piece = await step(steps.asend, sent)
        except StopAsyncIteration:
            pass
        except BaseException as error:
            await call.close_async(error)
            raise
        await call.close_async(None)

    return asynchronous_generator
