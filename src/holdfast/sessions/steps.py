"""Calls whose results are recorded, and come from the log in a resumed run: `run.step` and `run.once`."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from holdfast import codec
from holdfast.errors import InvalidValue
from holdfast.recording import fields
from holdfast.records import STATUSES, Module, Once, Transition
from holdfast.sessions.checkpointing import Checkpointing
from holdfast.sessions.parts import Parts
from holdfast.sessions.preemption import Preemption
from holdfast.sessions.program import Program
from holdfast.sessions.restoring import Restoring


class Outcome(msgspec.Struct, frozen=True):
    """What a step's function returns where its result is not all there is to say. The step returns the result alone.

    status: ok, error or skipped. index, phase: the step's place in a plan. change: the state before and after it, which is
    recorded as a transition in one piece with the result. info: what may differ between equal runs.
    """

    result: Any
    status: str = "ok"
    index: int | None = None
    phase: str | None = None
    change: tuple[Any, Any] | None = None
    info: Mapping[str, Any] | None = None


class Steps:
    """Calls a function and records its result, or returns the one that was recorded. go_on: the program goes on behind a loop
    that it left."""

    def __init__(
        self,
        parts: Parts,
        program: Program,
        checkpoints: Checkpointing,
        restoring: Restoring,
        preemption: Preemption,
        go_on: Callable[[], None],
    ) -> None:
        self._program, self._checkpoints, self._restoring, self._preemption = program, checkpoints, restoring, preemption
        self._recorder, self._expectations, self._point = parts.recorder, parts.expectations, parts.point
        self._go_on = go_on

    def step(self, name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The recorded result of fn(*args, **kwargs) (see Run.step)."""
        name = fields.text_value(name, "step.name")[0]
        outside = self._program.place
        if not outside:
            self._go_on()
        key = self._program.next_step(name)
        if not outside and (recorded := self._recorded(key)) is not None:
            return codec.decode(recorded.get("result"))
        self._recorder.raise_stopped()
        self._program.enter(key)
        is_recorded = False
        try:
            if outside:
                returned = fn(*args, **kwargs)
            else:
                self._recorder.go_to(top=False)
                returned = fn(*args, **kwargs)
                self._recorder.go_to(top=True)
            records = _records_of(name, key, returned)
            self._record(records, key, outside)
            is_recorded = True
        finally:
            self._program.leave(outside)
            self._recorder.top = not outside
            if not is_recorded:
                self._program.take_back_step(key, name)
        if not outside:
            self._checkpoints.taken()
            self._preemption.note_time()
            self._preemption.stop_if_asked()
        return codec.decode(records[0].result)

    def once(self, key: str, fn: Callable[[], Any]) -> Any:
        """The recorded value of fn() (see Run.once)."""
        key = fields.text_value(key, "once.key")[0]
        if self._recorder.is_owner():
            self._go_on()
        lane, top = self._recorder.place()
        expected = self._expected(lane, top)
        if expected is not None and expected[1]["kind"] == "once" and expected[1]["key"] == key:
            tree = expected[1].get("value")
        else:
            self._recorder.raise_stopped()
            tree = codec.snapshot(fn(), f"once[{key!r}]")
        self._recorder.record(Once(key=key, value=tree))
        return codec.decode(tree)

    def _record(self, records: list[Any], key: str, outside: str) -> None:
        """The result of a step, and a checkpoint where there is no loop or step around it."""
        self._recorder.raise_stopped()  # in a child that was forked in the step
        if not outside and self._restoring.at is None:
            checkpoints = self._checkpoints
            names, checkpoints.asked = checkpoints.asked or [""], []
            stored = checkpoints.copy_state()
            try:
                self._recorder.record_group(
                    records, lambda position: [checkpoints.record_of(stored, key, names[-1] or None, position)]
                )
            except BaseException as error:
                checkpoints.take_back(stored, error)
                raise
            return
        # Without a checkpoint also where the program has changed, and does something before the step or loop whose state is
        # to come back.
        for record in records:
            self._recorder.record(record)
        if outside and self._recorder.policy.save_mode == "batch":
            self._recorder.flush()

    def _recorded(self, key: str) -> dict[str, Any] | None:
        """The record of a step that lies before the position, or None. It counts as repeated."""
        expected = self._expected("", True)
        if expected is None or expected[1]["kind"] != "module" or expected[1].get("key") != key:
            return None
        n, stored = expected
        if n > self._point.position:
            return None
        self._recorder.record(_module_of(stored))
        change = self._expected("", True) if stored.get("join") else None
        if change is not None and change[0] == n + 1:  # in one piece with it
            n, fields_of_change = change
            self._recorder.record(Transition(before=fields_of_change["before"], after=fields_of_change["after"]))
        if self._restoring.at == key:
            self._restoring.restore()
        elif self._restoring.at is not None:
            self._restoring.restore_passed(n + 1, key)
        return stored

    def _expected(self, lane: str, top: bool) -> tuple[int, dict[str, Any]] | None:
        """The record that a stream has to repeat next, or None. Locked, as other threads match theirs meanwhile."""
        with self._recorder.lock:
            return self._expectations.peek(lane, top) if self._recorder.matcher is not None else None


def _records_of(name: str, key: str, returned: Any) -> list[Any]:
    """What a step records: its result as a module, and the change of state where it tells of one."""
    outcome = returned if isinstance(returned, Outcome) else Outcome(returned)
    path = f"step[{name!r}]"
    if outcome.status not in STATUSES:
        raise InvalidValue(f"{path}.status", f"{outcome.status!r} is not one of {', '.join(STATUSES)}")
    records: list[Module | Transition] = [
        Module(
            name=name,
            status=outcome.status,
            result=codec.snapshot(outcome.result, path),
            index=fields.whole(outcome.index, f"{path}.index"),
            phase=fields.name(outcome.phase, f"{path}.phase"),
            key=key,
        )
    ]
    if outcome.change is not None:
        before, after = (codec.snapshot(state, f"{path}.change") for state in outcome.change)
        records.append(Transition(before=before, after=after))
    if outcome.info is not None:
        records[0].info = fields.named(outcome.info, "info", snapshot=True)
    return records


def _module_of(stored: Mapping[str, Any]) -> Module:
    return Module(
        name=stored["name"],
        status=stored.get("status", "ok"),
        result=stored.get("result"),
        index=stored.get("index"),
        phase=stored.get("phase"),
        key=stored.get("key"),
    )
