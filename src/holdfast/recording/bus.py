"""The user's hooks: called for every record of a kind, isolated from the run, their failures counted and shown."""

import threading
from collections.abc import Callable

import msgspec

from holdfast.errors import InvalidSetting
from holdfast.records import CANONICAL_KINDS, Record

Hook = Callable[..., object]
_SHOWN_FAILURES = 20


class HookFailure(msgspec.Struct):
    """What a hook raised, how often, and for which record first."""

    hook: str
    error: str
    n: int
    count: int = 1


class Bus(msgspec.Struct):
    """Hooks by kind. A hook is called as hook(record, replayed=bool) on the thread that recorded, after the record is flushed
    or buffered; what it records itself is recorded without calling hooks again."""

    notice: Callable[[str], None]
    failures: dict[str, HookFailure] = msgspec.field(default_factory=dict)
    _hooks: dict[str, list[Hook]] = msgspec.field(default_factory=dict)
    _inside: threading.local = msgspec.field(default_factory=threading.local)

    def on(self, kind: str, hook: Hook) -> Callable[[], None]:
        """Call `hook` for every record of `kind` ("*": all canonical kinds); the returned function ends that."""
        if kind != "*" and kind not in CANONICAL_KINDS:
            raise InvalidSetting(f"no records of kind {kind!r}; there are {', '.join(sorted(CANONICAL_KINDS))} and '*'")
        self._hooks.setdefault(kind, []).append(hook)

        def end() -> None:
            if hook in self._hooks.get(kind, ()):
                self._hooks[kind].remove(hook)

        return end

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to call."""
        return not any(self._hooks.values())

    def publish(self, record: Record, *, replayed: bool) -> None:
        """Call the hooks of a record. An exception of a hook never reaches the run."""
        if getattr(self._inside, "hook", False):
            return
        kind = type(record).__struct_config__.tag
        self._inside.hook = True
        try:
            for hook in (*self._hooks.get(str(kind), ()), *self._hooks.get("*", ())):
                try:
                    hook(record, replayed=replayed)
                except Exception as error:  # a user's hook may raise anything; it is counted and shown
                    self._count(hook, error, record.n)
        finally:
            self._inside.hook = False

    def _count(self, hook: Hook, error: Exception, n: int) -> None:
        name = getattr(hook, "__qualname__", repr(hook))
        key = f"{name}: {type(error).__name__}"
        if key in self.failures:
            self.failures[key].count += 1
        elif len(self.failures) < _SHOWN_FAILURES:
            self.failures[key] = HookFailure(name, f"{type(error).__name__}: {error}", n)
            self.notice(
                f"hook {name} failed at record {n}: {type(error).__name__}: {error}; the run goes on, further ones are counted"
            )
        else:
            self.failures.setdefault("others", HookFailure("others", "", n, 0)).count += 1
