"""Plant bugs, one at a time, and see that the test that keeps the broken promise fails: `python -m tests.mutants`.

Each bug is planted in a copy of the checkout, in a temporary folder, and only its test is run there. Before that all these
tests are run on an unchanged copy, where they have to pass. Exits with 1 where a bug is not caught, or is stale: the code
that it changes is not there any more.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
COPIED = ("src", "tests", "docs", "examples", "bench", "pyproject.toml", "README.md", "Makefile", "CHANGELOG.md")
LIMIT_SECONDS = 120.0  # for one test; those of the table take at most some seconds
_STYLES = {"caught": "green", "SURVIVED": "bold red", "STALE": "bold yellow", "HUNG": "bold red", "BROKEN": "bold red"}

Outcome = Literal["caught", "SURVIVED", "STALE", "HUNG", "BROKEN"]
"""BROKEN: the test could not be run to a verdict. HUNG: it came to none within its time. Neither counts as caught."""


@dataclass(frozen=True)
class Mutant:
    """A bug: in `file` (under src/holdfast) `old`, which stands there once, becomes `new`. `test` has to catch it."""

    name: str
    wrong: str
    file: str
    old: str
    new: str
    test: str


MUTANTS = (
    # Appending and syncing ------------------------------------------------------------------------------------------
    Mutant(
        "number-before-line",
        "The number advances before the line is copied: an interrupt in between leaves a gap.",
        "storage/log.py",
        "self._pending = after = (n, end + 1, closing, segment, chain)",
        "self._tail = self._pending = after = (n, end + 1, closing, segment, chain)",
        "tests/contract/test_mutant_gaps.py::test_an_interrupt_at_any_line_of_an_append_leaves_neither_gap_nor_half_record",
    ),
    Mutant(
        "group-without-join",
        "The lines of a group do not say that they belong together: a kill in the middle leaves half of it.",
        "storage/log.py",
        "*map(join_line, lines[:-1])",
        "*lines[:-1]",
        "tests/contract/test_mutant_gaps.py::test_a_group_that_a_kill_tore_counts_not_at_all",
    ),
    Mutant(
        "past-not-synced",
        "An attempt builds on records of the one before that are not on the disk yet.",
        "storage/log.py",
        "        self._sync_past()\n        prev = None",
        "        prev = None",
        "tests/property/test_power_loss.py::test_a_log_keeps_what_was_synced_and_invents_nothing[second_attempt]",
    ),
    Mutant(
        "segment-name-not-synced",
        "The folder of a new segment is not synced: after a power loss the file may be gone.",
        "storage/segments.py",
        "            self._sync_name(files)\n        except",
        "            self._files = None\n        except",
        "tests/property/test_power_loss.py::test_a_log_keeps_what_was_synced_and_invents_nothing[power_appends]",
    ),
    Mutant(
        "failed-sync-retried",
        "A sync that failed is tried once more, and its success is believed.",
        "storage/segments.py",
        "            self.sync_failure = error\n            raise",
        "            self.file.sync()",
        "tests/contract/test_failing_operations.py"
        "::test_after_a_failed_sync_everything_since_the_last_one_is_repeated_in_the_next_segment",
    ),
    Mutant(
        "content-not-synced",
        "What replaces a file, or belongs to a checkpoint, is renamed without being synced.",
        "storage/files.py",
        "            offset += len(chunk)\n        file.sync()",
        "            offset += len(chunk)",
        "tests/property/test_power_loss.py::test_a_session_goes_on_to_the_same_end[power-continuous]",
    ),
    Mutant(
        "lock-not-taken",
        "A second process opens a session that is open.",
        "storage/lock.py",
        "is_mine = file.lock()",
        "is_mine = file.lock() or True",
        "tests/unit/test_lock.py::test_a_second_holder_is_told_who_the_first_one_is",
    ),
    # Recovery -------------------------------------------------------------------------------------------------------
    Mutant(
        "close-not-checked",
        "Recovery after a power loss takes bytes that do not match their close.",
        "storage/recovery.py",
        "            if not close.good:\n                bad = close",
        "            if close.end < 0:\n                bad = close",
        "tests/property/test_power_loss.py::test_a_log_keeps_what_was_synced_and_invents_nothing[power_batches_and_groups]",
    ),
    Mutant(
        "damage-taken-for-a-tear",
        "After a kill a damaged record is taken for the end of the log, though others follow it.",
        "storage/recovery.py",
        "    if strict and torn is not None:",
        "    if strict and torn is None:",
        "tests/contract/test_mutant_gaps.py::test_a_damaged_record_is_no_tear_where_others_follow",
    ),
    # Recording ------------------------------------------------------------------------------------------------------
    Mutant(
        "replayed-written-twice",
        "A record that the resumed program repeats is written once more.",
        "recording/recorder.py",
        "if matching.matcher is None or not matching.match(record)]",
        "if matching.matcher is None or [matching.match(record)]]",
        "tests/contract/test_resume.py::test_a_killed_loop_ends_as_the_one_that_was_not",
    ),
    Mutant(
        "full-disk-swallowed",
        "flush() returns although the disk is full and records wait in memory.",
        "recording/outlet.py",
        "        self.flush()\n        if self.has_begun and",
        "        self.flush_or_keep()\n        if self.has_begun and",
        "tests/contract/test_mutant_gaps.py::test_a_flush_on_a_full_disk_raises_until_there_is_space",
    ),
    Mutant(
        "child-writes",
        "A forked child writes into its parent's log.",
        "recording/recorder.py",
        "        self.outlet.ended = error\n        self.turn.forget()",
        "        self.turn.forget()",
        "tests/crash/test_processes.py::test_a_forked_child_neither_writes_nor_holds_the_session_when_its_parent_is_killed",
    ),
    Mutant(
        "child-keeps-lock",
        "A forked child holds the session's lock when its parent is gone.",
        "sessions/attempt.py",
        "        self._lock.abandon()",
        "        pass",
        "tests/crash/test_processes.py::test_a_forked_child_neither_writes_nor_holds_the_session_when_its_parent_is_killed",
    ),
    Mutant(
        "surrogates-dropped",
        "The exact bytes of a text with lone surrogates are not kept.",
        "recording/fields.py",
        'return shown, b64encode(exact).decode("ascii")',
        "return shown, None",
        "tests/contract/test_bad_input.py::test_lone_surrogates_are_shown_as_replacements_and_kept_exactly",
    ),
    Mutant(
        "aged-not-flushed",
        "The timer of batch mode never flushes.",
        "recording/buffer.py",
        "        if oldest is None or oldest is not self._seen:",
        "        if oldest is None or oldest is not None:",
        "tests/contract/test_times.py::test_the_timer_of_batch_mode_flushes_what_it_has_seen_before",
    ),
    Mutant(
        "stall-untold",
        "A disk that is slow is counted nowhere.",
        "recording/cost.py",
        "        if took < STALL_NS or self.stalls > stalls:",
        "        if took >= 0:",
        "tests/unit/test_health.py::test_slow_syncs_are_stalls_and_the_first_one_is_told",
    ),
    Mutant(
        "files-not-forecast",
        "The free space is forecast on the log alone.",
        "recording/counts.py",
        "self._left_bytes + log.bytes_appended + self.file_bytes",
        "self._left_bytes + log.bytes_appended",
        "tests/unit/test_health.py::test_the_disk_is_full_after_its_free_space_at_the_pace_of_all_files",
    ),
    # Checkpoints and resume -----------------------------------------------------------------------------------------
    Mutant(
        "checkpoint-not-by-time",
        "No checkpoint is taken because time has passed.",
        "sessions/loops.py",
        "checkpoints.seconds_since_last() >= seconds",
        "checkpoints.seconds_since_last() >= 1e9 * seconds",
        "tests/contract/test_times.py::test_a_checkpoint_is_taken_at_the_first_end_of_a_step_after_the_time",
    ),
    Mutant(
        "position-is-own-number",
        "A checkpoint's position is its own number: what was to be repeated behind it is forgotten.",
        "sessions/checkpointing.py",
        'position={"main": position},',
        'position={"main": self._recorder.outlet.log.n + 1},',
        "tests/contract/test_resume.py::test_a_long_tail_is_replayed_once_as_checkpoints_are_taken_on_the_way[continuous]",
    ),
    Mutant(
        "buffer-behind-checkpoint",
        "A checkpoint takes its position before the records in the buffer have their numbers.",
        "sessions/checkpointing.py",
        "        self._recorder.flush_accepted()\n        position = self._recorder.position\n",
        "        position = self._recorder.position\n",
        "tests/contract/test_resume.py::test_a_killed_loop_ends_as_the_one_that_was_not[kills3-batch]",
    ),
    Mutant(
        "state-not-restored",
        "The loop is entered at the right step with the state of a fresh start.",
        "sessions/restoring.py",
        "        self.is_on_the_way = False\n        self._bring_back(state, arrays)",
        "        self.is_on_the_way = False",
        "tests/contract/test_resume.py::test_an_optimizer_with_int_keys_tuples_and_late_born_fields_is_brought_back",
    ),
    Mutant(
        "state-restored-at-open",
        "The state comes back when the session is opened, and code before the loop changes it.",
        "sessions/restoring.py",
        "        self._state = parts.store.load(checkpoint) if checkpoint else None",
        "        self.at = self._state = None\n"
        "        if checkpoint:\n"
        "            parts.tracked.restore(*parts.store.load(checkpoint))",
        "tests/contract/test_resume.py::test_generators_drawn_before_the_loop_go_on_where_they_were",
    ),
    Mutant(
        "generators-not-captured",
        "The global random generators are no part of a checkpoint.",
        "sessions/checkpoints.py",
        "moved = self.globals.moved()",
        "moved: dict[str, object] = {}",
        "tests/contract/test_resume.py::test_a_generator_that_is_first_drawn_in_the_tail_comes_back_too",
    ),
    Mutant(
        "checkpoint-name-not-synced",
        "The folder of a checkpoint's files is not synced: after a power loss its record names files that are gone.",
        "sessions/checkpoints.py",
        "            is_named = True\n            self._files.sync_folder(self._folder)\n",
        "            is_named = True\n",
        "tests/property/test_power_loss.py::test_a_session_goes_on_to_the_same_end[power-continuous]",
    ),
    Mutant(
        "dead-checkpoint-restored",
        "A checkpoint whose state holds superseded records is restored.",
        "sessions/resume.py",
        "    for superseded in later:",
        "    for superseded in later[:0]:",
        "tests/contract/test_divergence.py::test_checkpoints_behind_the_difference_are_dead_and_are_not_restored",
    ),
    Mutant(
        "lane-ignored",
        "Records are matched without regard to their lane.",
        "sessions/resume.py",
        '        lane = record.lane or ""\n        again =',
        '        lane = ""\n        again =',
        "tests/contract/test_resume.py::test_a_lane_of_the_program_itself_is_matched_apart_from_the_default_one",
    ),
    Mutant(
        "chain-not-followed",
        "Top-level records before the checkpoint are not expected, and stand twice.",
        "sessions/resume.py",
        "tops = self._follow_chain(checkpoint.back or 0, start) if checkpoint else []",
        "tops: list[tuple[int, str]] = []",
        "tests/contract/test_resume.py::test_top_level_records_run_again_and_stand_once",
    ),
    Mutant(
        "once-called-again",
        "`once` calls its function again, though the value was recorded.",
        "sessions/steps.py",
        "        if recorded is None:\n            self._recorder.outlet.raise_stopped()",
        "        if True:\n            self._recorder.outlet.raise_stopped()",
        "tests/contract/test_resume.py::test_a_once_that_was_recorded_is_returned_without_a_call",
    ),
    Mutant(
        "failed-step-not-told",
        "What a step recorded before it failed is not found by a resume, which does it again: it stands twice.",
        "sessions/steps.py",
        "        if span is None:\n            return\n",
        "        if span is not None:\n            return\n",
        "tests/contract/test_tries.py::test_failed_steps_that_recorded_something_go_on_equal[kills5-plain]",
    ),
    Mutant(
        "failed-try-expected-for-ever",
        "What a failed step recorded is expected of a program that passes the step.",
        "sessions/tries.py",
        "entry[0] > n and entry[1].key != key",
        "entry[0] > 0",
        "tests/contract/test_tries.py::test_a_step_that_is_tried_until_it_succeeds_is_passed_at_once",
    ),
    Mutant(
        "lost-step-waited-for",
        "After a change of the program no step gets a checkpoint: one is waited for that does not come.",
        "sessions/steps.py",
        "            self._restoring.give_up()",
        "            pass",
        "tests/contract/test_divergence.py::test_steps_of_a_changed_program_get_their_checkpoints_again[before]",
    ),
    Mutant(
        "once-answers-anew",
        "A `once` whose function records something is asked again by a resume, and gives another answer than the recorded one.",
        "sessions/steps.py",
        'self._recorded_once(key) or {"value": tree}',
        '{"value": tree}',
        "tests/contract/test_once.py::test_a_function_that_records_is_asked_again_and_the_recorded_value_counts[kills0]",
    ),
    # Retention ------------------------------------------------------------------------------------------------------
    Mutant(
        "released-unrecorded",
        "Checkpoints are deleted, and no record says so.",
        "sessions/releasing.py",
        "            recorder.append_group([Released(",
        "            (lambda records: None)([Released(",
        "tests/contract/test_resume.py::test_keep_last_deletes_the_files_of_older_checkpoints",
    ),
    Mutant(
        "released-not-synced",
        "Files of a checkpoint are deleted before the record that releases it is on the disk.",
        "sessions/releasing.py",
        '            recorder.flush("synced")',
        "            pass",
        "tests/property/test_power_loss.py::test_a_session_goes_on_to_the_same_end[process-continuous]",
    ),
    Mutant(
        "shared-folder-deleted",
        "A folder is deleted that a checkpoint which stays refers to.",
        "sessions/retention.py",
        "return folders_of(gone) - folders_of(kept)",
        "return folders_of(gone)",
        "tests/unit/test_retention.py::test_a_folder_that_a_kept_checkpoint_refers_to_is_not_deleted",
    ),
    # Reading --------------------------------------------------------------------------------------------------------
    Mutant(
        "superseded-shown",
        "The canonical view holds superseded records.",
        "reading/view.py",
        "return any(record.n > n and",
        "return any(record.n < n and",
        "tests/contract/test_divergence.py::test_afterwards_the_canonical_view_is_what_the_last_attempt_produced",
    ),
    Mutant(
        "digest-of-times",
        "The digest depends on when records were made.",
        "records.py",
        '"n", "ts", "info", "crc"',
        '"n", "info", "crc"',
        "tests/contract/test_platforms.py::test_a_clock_that_goes_backwards_changes_nothing_but_the_times",
    ),
    Mutant(
        "flush-settled-in-two-steps",
        "A flush that was interrupted, and then again while that was put right, is written once more.",
        "recording/buffer.py",
        "        if log.settle()[0] <= n:  # it was before the write\n            self._flushing = None\n",
        "        self._flushing = None\n        if log.settle()[0] <= n:\n",
        "tests/unit/test_buffer.py::test_a_flush_that_is_interrupted_twice_writes_nothing_twice",
    ),
    Mutant(
        "handler-overtaken",
        "A token takes the short way past what a signal handler recorded before it.",
        "recording/recorder.py",
        "                turn.gate = 0  # so that nothing overtakes it on the short way\n",
        "",
        "tests/unit/test_buffer.py::test_nothing_overtakes_what_a_signal_handler_recorded[continuous]",
    ),
    # Workflows and KIRA ---------------------------------------------------------------------------------------------
    Mutant(
        "change-left-behind",
        "A step that is not run again does not bring its transition with it: the next record is taken for another.",
        "sessions/steps.py",
        'stored.get("join")',
        'stored.get("joined")',
        "tests/contract/test_outcomes.py::test_a_step_that_is_not_run_again_brings_its_change_with_it",
    ),
    Mutant(
        "change-beside-the-group",
        "A step's change of state is recorded beside its result, not with it.",
        "sessions/steps.py",
        "self._recorder.record_group(records, followers)",
        "self._recorder.record_group(records[:1], followers)",
        "tests/contract/test_outcomes.py::test_result_change_and_checkpoint_are_one_piece",
    ),
    Mutant(
        "past-counts-others",
        "Tokens that the program recorded past the engine count as the engine's.",
        "workflows/saving.py",
        """return isinstance(meta, dict) and meta.get("past") == MARK["past"]""",
        "return True",
        "tests/contract/test_past.py::test_what_is_recorded_past_the_engine_is_none_of_its_past",
    ),
    Mutant(
        "past-read-where-it-forked-from",
        "After a fork older items are read from the log of the session that was left.",
        "workflows/past.py",
        "self._log is None or self._log.folder != session.path",
        "self._log is None",
        "tests/contract/test_past.py::test_after_a_difference_older_items_are_those_of_the_log_that_goes_on[fork]",
    ),
    Mutant(
        "past-moves-under-a-reader",
        "Who goes over the past while the engine emits gets other items.",
        "workflows/past.py",
        "kept, skipped = tuple(self._recent), self._skipped",
        "kept, skipped = self._recent, self._skipped",
        "tests/contract/test_past.py::test_it_is_gone_over_as_it_is_at_the_beginning",
    ),
    Mutant(
        "past-cleared-before-the-check",
        "The past is cleared although what was assigned cannot be recorded.",
        "workflows/past.py",
        "        if not new:\n            self._begin_anew()\n",
        "        self._begin_anew()\n",
        "tests/contract/test_past.py::test_older_items_can_be_read_after_the_end",
    ),
    Mutant(
        "state-as-shallow-as-an-argument",
        "A tool's memory is given out that cannot be taken back.",
        "engines/kira/tools/tool.py",
        ", max_depth=_DEEPEST_STATE)",
        ")",
        "tests/engines/kira/test_tools_any.py::test_a_value_at_its_largest_depth_survives_a_restore[shed_builder_v2-create]",
    ),
    Mutant(
        "generator-not-restored",
        "The engine's generator goes on where it was, not where the state was taken.",
        "engines/kira/engine.py",
        "self.rng.setstate(generator.getstate())",
        "generator.getstate()",
        "tests/engines/kira/test_full_pipeline.py::test_killed_in_any_module_it_ends_equal[8]",
    ),
    Mutant(
        "triad-not-stored",
        "An engine that is restored has forgotten whether TRIAD is armed.",
        "engines/kira/state.py",
        '            "above_band": self.above_band,\n            "k_threshold"',
        '            "above_band": False,\n            "k_threshold"',
        "tests/engines/kira/test_full_pipeline.py::test_killed_in_any_module_it_ends_equal[21]",
    ),
    Mutant(
        "phase-without-checkpoint-name",
        "The checkpoint at the end of a phase has no name, and retention takes it.",
        "workflows/stages.py",
        "run.checkpoint(phase.name)",
        "run.checkpoint()",
        "tests/engines/kira/test_full_pipeline.py::test_each_module_is_recorded_with_its_change_and_checkpoint",
    ),
    Mutant(
        "line-not-recorded-first",
        "A line is run before it is recorded: after a kill within it, nobody knows what was said.",
        "workflows/conversation.py",
        'line = run.once("line", asked)',
        "line = asked()",
        "tests/contract/test_conversation.py::test_a_line_that_was_recorded_and_not_answered_is_answered_first",
    ),
    Mutant(
        "conversation-without-checkpoints",
        "No checkpoint follows a reply: all lines that were said are run again at every start.",
        "workflows/conversation.py",
        "run.loop(checkpoint_every=1)",
        "run.loop(checkpoint_seconds=1e9)",
        "tests/contract/test_conversation.py::test_what_was_answered_survives_a_kill_in_every_mode",
    ),
    Mutant(
        "fault-not-undone",
        "What the engine did before a fault of its own stays, half of a command.",
        "workflows/conversation.py",
        "engine.load_state_dict(before)",
        "assert before",
        "tests/contract/test_conversation.py::test_a_fault_of_the_engine_is_answered_and_undone_so_that_no_line_blocks_the_session",
    ),
    Mutant(
        "signal-between-two-lines-lost",
        "A signal that came while a line was answered is not looked at when the next one is awaited.",
        "cli/stops.py",
        "if self._asked is not None:  # looked",
        "if self._asked is not None and not self._is_awaiting:  # looked",
        "tests/unit/test_stops.py::test_a_signal_that_came_while_a_line_was_answered_stops_the_next_one",
    ),
)


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant. evidence: how the test failed, or why there is no verdict."""

    mutant: Mutant
    outcome: Outcome
    evidence: str
    seconds: float


@dataclass(frozen=True)
class Tested:
    """A run of pytest: its exit status (None: killed after its time), and what it printed."""

    status: int | None
    printed: str

    def failure(self) -> str | None:
        """The test that failed and how, of a run that came to that verdict."""
        found = re.search(r"^FAILED (.*)$", self.printed, re.MULTILINE)
        return found[1] if found and self.status == 1 else None


class Runner:
    """Copies of the checkout below one temporary folder, and processes that test them. All end with it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._plain = folder, folder / "plain"
        self._running: set[int] = set()
        self._lock = threading.Lock()
        self.is_ending = False
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self._plain / name, ignore=shutil.ignore_patterns("__pycache__", "scratch"))
            elif source.exists():
                shutil.copy2(source, self._plain / name)

    def imported(self) -> Path:
        """The package's file that a test in the plain copy imports."""
        done = self._run(self._plain, ["-c", "import holdfast; print(holdfast.__file__)"], LIMIT_SECONDS)
        return Path(done.printed.strip())

    def is_stale(self, mutant: Mutant) -> bool:
        """Whether what the mutant changes does not stand there exactly once."""
        path = self._source(self._plain, mutant)
        return not path.exists() or path.read_text(encoding="utf-8").count(mutant.old) != 1

    def test_plain(self, tests: Sequence[str], jobs: int) -> Tested:
        """Run tests on the copy that has no bug planted. What they compile, the other copies have then."""
        return self._pytest(self._plain, ["-n", str(jobs), *tests], 5 * LIMIT_SECONDS)

    def test(self, mutant: Mutant) -> Verdict:
        """Plant a bug in a copy of its own, and run its test there."""
        began = time.monotonic()
        copy = self._folder / mutant.name
        shutil.copytree(self._plain, copy)
        path = self._source(copy, mutant)
        text = path.read_text(encoding="utf-8").replace(mutant.old, mutant.new)
        path.write_text(text, encoding="utf-8")
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
            compiled.unlink()
        try:
            compile(text, str(path), "exec")
        except SyntaxError as error:
            return Verdict(mutant, "BROKEN", f"the changed source does not compile: {error}", 0.0)
        done = self._pytest(copy, ["-x", "-p", "no:xdist", mutant.test], LIMIT_SECONDS)
        shutil.rmtree(copy)
        return Verdict(mutant, *_judge(done), time.monotonic() - began)

    def end(self) -> None:
        """End all processes, and start no more."""
        self.is_ending = True
        with self._lock:
            for pid in self._running:
                _kill_group(pid)

    def _source(self, copy: Path, mutant: Mutant) -> Path:
        return copy / "src" / "holdfast" / mutant.file

    def _pytest(self, copy: Path, words: Sequence[str], limit: float) -> Tested:
        made = copy.with_suffix(".made")
        options = ["-q", "-rf", "--tb=short", "--no-header", "-p", "no:cacheprovider", f"--basetemp={made}"]
        try:
            return self._run(copy, ["-m", "pytest", *options, *words], limit)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _run(self, copy: Path, words: Sequence[str], limit: float) -> Tested:
        """Run Python in a copy, in a process group that ends with it: what a broken test leaves behind, too."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "PYTEST_", "PYTHON"))}
        environment = kept | {"PYTHONPATH": str(copy / "src"), "TMPDIR": str(self._folder), "COLUMNS": "250"}
        with tempfile.TemporaryFile(dir=self._folder) as printed:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=copy,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            with self._lock:
                self._running.add(process.pid)
            is_late = threading.Event()

            def stop() -> None:
                is_late.set()
                _kill_group(process.pid)

            timer = threading.Timer(0.0 if self.is_ending else limit, stop)
            timer.start()
            # Not reaped before its group is killed: until then nobody else can get its number.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            timer.cancel()
            timer.join()
            _kill_group(process.pid)
            with self._lock:
                self._running.remove(process.pid)
                status = process.wait()
            printed.seek(0)
            return Tested(None if is_late.is_set() else status, printed.read().decode(errors="replace"))


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has just ended


def _judge(done: Tested) -> tuple[Outcome, str]:
    if done.status == 0:
        return "SURVIVED", "its test passes"
    if done.status is None:
        return "HUNG", f"its test came to no end in {LIMIT_SECONDS:.0f} s"
    if (failure := done.failure()) is not None:
        return "caught", failure
    return "BROKEN", f"pytest ended with status {done.status}: {done.printed.strip()[-2000:]}"


def judge_all(runner: Runner, mutants: Sequence[Mutant], jobs: int, console: Console) -> list[Verdict]:
    """The verdicts, in the order of the table; each is told when it is there."""

    def judge(mutant: Mutant) -> Verdict:
        verdict = Verdict(mutant, "STALE", f"its old text does not stand once in {mutant.file}", 0.0)
        if not runner.is_stale(mutant):
            verdict = runner.test(mutant)
        if not runner.is_ending:
            console.print(f"[{_STYLES[verdict.outcome]}]{verdict.outcome:<8}[/] {mutant.name}  ({verdict.seconds:.1f} s)")
        return verdict

    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(judge, mutant) for mutant in mutants]
        try:
            return [future.result() for future in waiting]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            runner.end()
            raise


def report(verdicts: Sequence[Verdict], seconds: float) -> Table:
    """The verdicts as a table."""
    caught = sum(verdict.outcome == "caught" for verdict in verdicts)
    title = f"{caught} of {len(verdicts)} planted bugs caught, in {seconds:.0f} s"
    table = Table(title=title, title_justify="left", show_lines=True)
    for column in ("bug", "what is wrong", "caught by", "outcome"):
        table.add_column(column, overflow="fold")
    for verdict in verdicts:
        mutant = verdict.mutant
        where = f"{mutant.name}\n[dim]{mutant.file}[/]"
        test = mutant.test.replace("::", "\n").replace("[", "\\[")
        table.add_row(where, mutant.wrong, test, f"[{_STYLES[verdict.outcome]}]{verdict.outcome}[/]")
    return table


def facts(verdict: Verdict) -> dict[str, object]:
    """The same as JSON."""
    return {
        "name": verdict.mutant.name,
        "wrong": verdict.mutant.wrong,
        "file": verdict.mutant.file,
        "test": verdict.mutant.test,
        "outcome": verdict.outcome,
        "evidence": verdict.evidence,
        "seconds": round(verdict.seconds, 1),
    }


def main() -> int:
    """Parse the command line, run, report."""
    options = _options()
    told = Console(stderr=True, highlight=False)
    mutants = [mutant for mutant in MUTANTS if not options.only or mutant.name in options.only]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that nothing is left behind
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="holdfast-mutants-", dir=_scratch()) as folder:
        runner = Runner(Path(folder).resolve())
        try:
            found = runner.imported()
            if not found.is_relative_to(Path(folder).resolve()):
                told.print(f"the copy is not what is imported, but {found}", style="red")
                return 1
            tests = sorted({mutant.test for mutant in mutants})
            plain = runner.test_plain(tests, options.jobs)
            if plain.status != 0:
                told.print(plain.printed, markup=False)
                told.print("these tests have to pass before a bug is planted", style="red")
                return 1
            told.print(f"{len(tests)} tests pass without a bug ({time.monotonic() - began:.0f} s); now {len(mutants)} bugs")
            verdicts = judge_all(runner, mutants, options.jobs, told)
        except KeyboardInterrupt:
            told.print("stopped")
            return 130
        finally:
            runner.end()
    for verdict in verdicts:
        if verdict.outcome != "caught":
            told.print(f"{verdict.mutant.name}: {verdict.evidence}", markup=False)
    if options.json:
        for verdict in verdicts:
            print(json.dumps(facts(verdict)))
    else:
        out = Console(width=None if sys.stdout.isatty() else 160)
        out.print(report(verdicts, time.monotonic() - began))
    return 0 if all(verdict.outcome == "caught" for verdict in verdicts) else 1


def _scratch() -> str | None:
    """A folder in memory where there is one: tests sync often."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Plant bugs, and see that each is caught.")
    names = [mutant.name for mutant in MUTANTS]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help="this bug (can be given again)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="bugs at a time (2)")
    parser.add_argument("--json", action="store_true", help="print a line of JSON a bug")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
