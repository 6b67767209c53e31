"""Calls whose results are recorded, and come from the log in a resumed run: `run.step` and `run.once`."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from holdfast import codec
from holdfast.errors import Diverged, HoldfastError, InvalidValue
from holdfast.recording import fields
from holdfast.records import STATUSES, Failed, Module, Once, Record, Transition
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
        self._notice = parts.notice
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
        if not outside:
            self._give_up_if_lost()
        self._recorder.outlet.raise_stopped()
        self._program.enter(key)
        before, asked_before = 0 if outside else self._recorder.outlet.watermarks.accepted, len(self._checkpoints.asked)
        if not outside:
            self._expectations.tries.begin()
        is_recorded = False
        failure: BaseException | None = None
        further: list[str] = []
        try:
            if outside:
                returned = fn(*args, **kwargs)
            else:
                self._recorder.lanes.go_to(top=False)
                returned = fn(*args, **kwargs)
                self._recorder.lanes.go_to(top=True)
            records = _records_of(name, key, returned)
            further = self._record(records, key, outside)
            is_recorded = True
        except BaseException as error:
            failure = error
            raise
        finally:
            self._program.leave(outside)
            self._recorder.lanes.top = not outside
            if not is_recorded:
                self._program.take_back_step(key, name)
                del self._checkpoints.asked[asked_before:]
                if not outside and not isinstance(failure, Diverged):  # which changes nothing
                    self._note_failed(key, before)
            if not outside:
                self._expectations.tries.end()
        if not outside:
            self._checkpoints.taken()
            for checkpoint in further:
                self._checkpoints.take(key, checkpoint or None)
            self._preemption.note_time()
            self._preemption.stop_if_asked()
        return codec.decode(records[0].result)

    def once(self, key: str, fn: Callable[[], Any]) -> Any:
        """The recorded value of fn() (see Run.once)."""
        key = fields.text_value(key, "once.key")[0]
        if self._recorder.lanes.is_owner():
            self._go_on()
        recorded = self._recorded_once(key)
        if recorded is None:
            self._recorder.outlet.raise_stopped()
            tree = codec.snapshot(fn(), f"once[{key!r}]")
            # What fn recorded itself came before its value, and so it is asked again; the recorded value counts all the same.
            recorded = self._recorded_once(key) or {"value": tree}
        tree = recorded.get("value")
        self._recorder.record(Once(key=key, value=tree))
        return codec.decode(tree)

    def _recorded_once(self, key: str) -> dict[str, Any] | None:
        """The record of this `once`, where that comes next."""
        expected = self._expected(*self._recorder.lanes.place())
        if expected is None or expected[1]["kind"] != "once" or expected[1]["key"] != key:
            return None
        return expected[1]

    def _record(self, records: list[Any], key: str, outside: str) -> list[str]:
        """The result of a step, and a checkpoint where there is no loop or step around it. Returns the names ("" for none) of
        the checkpoints that are still to be taken."""
        self._recorder.outlet.raise_stopped()  # in a child that was forked in the step
        checkpoints, names = self._checkpoints, list[str]()
        if not outside:
            names, checkpoints.asked = checkpoints.asked or [""], []
        if outside or self._is_before_a_loop():
            for record in records:
                self._recorder.record(record)
            if outside and self._recorder.outlet.policy.save_mode == "batch":
                self._recorder.flush()
            return []
        stored = checkpoints.copy_state()

        def followers(position: int) -> list[Record]:
            # None before the step whose state is to come back: this one failed, or was not there.
            self._give_up_if_lost()
            is_behind = self._restoring.at is None
            return [checkpoints.record_of(stored, key, names[0] or None, position)] if is_behind else []

        try:
            self._recorder.record_group(records, followers)
        except BaseException as error:
            checkpoints.take_back(stored, error)
            raise
        if self._restoring.at is not None:
            checkpoints.discard(stored)
            return []
        return names[1:]

    def _is_before_a_loop(self) -> bool:
        """Whether the program is on its way to a loop that it was in or behind, which it comes to whatever it does before. Keys
        of steps have a "#", those of loops none."""
        at = self._restoring.at
        return at is not None and ("#" not in at or self._program.has_loops_ahead)

    def _give_up_if_lost(self) -> None:
        """Where the program was changed, the step whose state was to come back may be superseded: it is not waited for then."""
        if self._restoring.at is None or self._is_before_a_loop():
            return
        expected = self._expected("", True)
        if expected is None or expected[0] > self._point.position:
            self._restoring.give_up()

    def _note_failed(self, key: str, before: int) -> None:
        """A step that recorded something failed: say so, as the program does it again at every resume, and is to find it there.
        before: how many records there were when it began."""
        recorder = self._recorder
        if recorder.outlet.ended is not None or recorder.outlet.failure is not None or recorder.is_foreign():
            return
        with recorder.turn.lock:
            span = self._expectations.tries.span(before, recorder.outlet.watermarks.accepted)
        if span is None:
            return
        try:
            recorder.append_group([Failed(key=key, first=span[0], last=span[1], top=True)])
        except HoldfastError as error:  # what the step failed with must not be hidden by this
            self._notice(f"that {key} failed could not be kept: what it recorded may stand twice after a resume ({error})")

    def _recorded(self, key: str) -> dict[str, Any] | None:
        """The record of a step that lies before the position, or None. It counts as repeated."""
        expected = self._expected("", True)
        if expected is None or expected[1]["kind"] != "module" or expected[1].get("key") != key:
            return None
        n, stored = expected
        if n > self._point.position:
            return None
        with self._recorder.turn.lock:
            self._expectations.pass_step(key, n)
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
        with self._recorder.turn.lock:
            return self._expectations.peek(lane, top) if self._recorder.matching.matcher is not None else None


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
        if not isinstance(outcome.change, tuple | list) or len(outcome.change) != 2:
            raise InvalidValue(f"{path}.change", f"{outcome.change!r} is not a pair of the state before and after")
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
