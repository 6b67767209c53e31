"""Sessions and other processes: forked children, many sessions at once, two processes on one session."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast
from tests.crash.children import ROOT, environment

CROWD = """
import os, sys
import holdfast

root, count = sys.argv[1], int(sys.argv[2])
waiting, starting = os.pipe()
reading, telling = os.pipe()
pids = []
for _ in range(count):
    if pid := os.fork():
        pids.append(pid)
        continue
    os.close(starting)
    os.read(waiting, 1)  # till the parent has started all
    with holdfast.session(root=root) as run:
        for index in range(3):
            run.token(f"{run.name} {index}")
    os.write(telling, f"{run.name}\\n".encode())
    os._exit(0)
os.close(starting)
os.close(telling)
with open(reading) as told:
    print(told.read(), end="")
sys.exit(any(os.waitpid(pid, 0)[1] for pid in pids))
"""

HOLDER = """
import sys
import holdfast

with holdfast.session("held", root=sys.argv[1]) as run:
    run.note("mine")
    print("open", flush=True)
    sys.stdin.read()
"""

FORKER = """
import os, sys
import holdfast

run = holdfast.start("forked", root=sys.argv[1])
for index in range(5):
    run.token(f"parent {index}")
if os.fork():
    sys.stdin.read()
else:
    print("ready", flush=True)
    os.read(int(sys.argv[2]), 1)
    for name, record in (("token", lambda: run.token("child")), ("note", lambda: run.note("child")), ("flush", run.flush)):
        try:
            record()
        except holdfast.SessionClosed:
            print(name, "refused", flush=True)
    run.close()
    print("closed", flush=True)
    os._exit(0)
"""

KILLED_TRAINING = """
import sys
from holdfast.sessions import opening
from holdfast.storage.faulty import KillingFiles
from holdfast.storage.files import RealFiles

opening.REAL_FILES = KillingFiles(RealFiles(), operation=sys.argv.pop(1), nth=int(sys.argv.pop(1)), role="/log")
import train_lm

sys.exit(train_lm.main())
"""


def test_64_sessions_opened_by_64_processes_at_once_are_64_sessions(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CROWD, str(tmp_path), "64"],
        env=environment(0),
        capture_output=True,
        text=True,
        check=True,
    )
    names = done.stdout.split()
    assert len(set(names)) == len(names) == 64
    workspace = holdfast.Workspace(tmp_path)
    assert {found.name: found.status for found in workspace.sessions()} == dict.fromkeys(names, "finished")
    for name in names:
        assert [record["token"] for record in workspace.records(name)] == [f"{name} {index}" for index in range(3)]
        assert workspace.verify(name).problems == ()


def test_a_second_process_is_told_who_holds_the_session(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        env=environment(0),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        for _ in range(2):
            with pytest.raises(holdfast.SessionBusy, match=rf"process {holder.pid} on .* goes on undisturbed"):
                holdfast.start("held", root=tmp_path)
        assert holdfast.Workspace(tmp_path).session("held").status == "running"
        holder.communicate("")
        assert holder.returncode == 0
    with holdfast.session("held", root=tmp_path) as run:
        run.note("mine")
    assert run.finished


def test_a_forked_child_neither_writes_nor_holds_the_session_when_its_parent_is_killed(tmp_path: Path) -> None:
    waiting, going = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", FORKER, str(tmp_path), str(waiting)],
        env=environment(0),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=(waiting,),
    ) as parent:
        os.close(waiting)
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        with holdfast.session("forked", root=tmp_path) as run:  # the child lives, and the lock is free
            for index in range(5):
                run.token(f"parent {index}")
            run.note("after it")
        log = tmp_path / "sessions" / "forked" / "log" / "main"
        before = {path: path.read_bytes() for path in log.iterdir()}
        os.close(going)
        assert parent.stdout.read().splitlines() == ["token refused", "note refused", "flush refused", "closed"]
    assert {path: path.read_bytes() for path in log.iterdir()} == before
    assert [record["kind"] for record in holdfast.Workspace(tmp_path).records("forked")] == ["token"] * 5 + ["note"]
    assert run.notices == []


def test_the_example_trainer_killed_five_times_ends_with_the_same_weights_and_digest(tmp_path: Path) -> None:
    env = environment(0)
    env["PYTHONPATH"] += os.pathsep + str(ROOT / "examples")
    corpus = ROOT / "examples" / "lm_model.py"
    options = [*("--quick", "--json", "--plain", "--corpus", str(corpus)), *("--root", str(tmp_path), "--session")]

    def train(session: str, operation: str, nth: int) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", KILLED_TRAINING, operation, str(nth), *options, session]
        return subprocess.run(line, env=env, capture_output=True, text=True, check=False)

    for operation, nth in (("store", 100), ("store", 150), ("sync_folder", 1), ("store", 77), ("store", 200)):
        assert train("killed", operation, nth).returncode == -signal.SIGKILL
    last, unkilled = train("killed", "store", 0), train("unkilled", "store", 0)
    assert last.returncode == unkilled.returncode == 0, last.stderr + unkilled.stderr
    ends = [json.loads(done.stdout) for done in (last, unkilled)]
    assert ends[0]["weights_sha256"] == ends[1]["weights_sha256"]
    assert ends[0]["digest"] == ends[1]["digest"]
