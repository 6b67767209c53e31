"""The states that a power loss can leave, on traces so small that all of them can be listed."""

import mmap
import os
import random
from pathlib import Path

import pytest

from holdfast.errors import InvalidSetting
from holdfast.storage.files import read_whole, replace_file, write_synced
from holdfast.storage.powerloss import SECTOR, DiskState, power_loss_states
from holdfast.storage.traced import Mark, TracedFiles, Written

Contents = dict[str, bytes | None]


def sector(fill: str) -> bytes:
    return fill.encode() * SECTOR


def states(files: TracedFiles, at: int | None = None) -> list[Contents]:
    found = [state.contents() for state in power_loss_states(files.trace, len(files.trace) if at is None else at)]
    assert all(found.count(contents) == 1 for contents in found), "a state came twice"
    return found


def same(found: list[Contents], expected: list[Contents]) -> bool:
    return len(found) == len(expected) and all(contents in found for contents in expected)


def prepared(root: Path, **contents: bytes) -> TracedFiles:
    """Files in which these are durable."""
    for name, data in contents.items():
        (root / name).write_bytes(data)
    return TracedFiles(root)


def test_what_was_there_at_the_start_is_durable(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "a").write_bytes(b"old")
    assert states(TracedFiles(tmp_path)) == [{"log": None, "log/a": b"old"}]


def test_a_sector_holds_any_version_since_the_sync(tmp_path: Path) -> None:
    files = prepared(tmp_path, a=sector("0"))
    file = files.open(tmp_path / "a", write=True)
    for fill in "AB":
        file.write(sector(fill), 0)
    assert same(states(files), [{"a": sector(fill)} for fill in "0AB"])
    file.sync()
    assert states(files) == [{"a": sector("B")}]
    file.write(sector("C"), 0)
    assert same(states(files), [{"a": sector(fill)} for fill in "BC"])
    assert same(states(files, at=1), [{"a": sector(fill)} for fill in "0A"])
    assert states(files, at=0) == [{"a": sector("0")}]
    file.close()


def test_sectors_are_independent_of_each_other(tmp_path: Path) -> None:
    files = prepared(tmp_path, a=sector("0") * 3)
    file = files.open(tmp_path / "a", write=True)
    file.write(sector("A") * 3, 0)
    file.close()
    expected: list[Contents] = [{"a": sector(x) + sector(y) + sector(z)} for x in "0A" for y in "0A" for z in "0A"]
    assert same(states(files), expected)


def test_a_write_across_a_boundary_can_be_torn_there_alone(tmp_path: Path) -> None:
    files = prepared(tmp_path, a=sector("0") * 2)
    file = files.open(tmp_path / "a", write=True)
    file.write(b"xyz", SECTOR - 1)
    file.close()
    old, left, right = sector("0"), b"0" * (SECTOR - 1) + b"x", b"yz" + b"0" * (SECTOR - 2)
    assert same(states(files), [{"a": a + b} for a in (old, left) for b in (old, right)])


def test_a_size_is_independent_of_the_sectors(tmp_path: Path) -> None:
    files = prepared(tmp_path, a=sector("0"))
    file = files.open(tmp_path / "a", write=True)
    file.write(b"abc", SECTOR)
    file.close()
    assert same(states(files), [{"a": sector("0") + rest} for rest in (b"", b"abc", b"\0\0\0")])


def test_a_cut_file_may_keep_its_size_with_the_rest_of_its_last_sector_zeroed(tmp_path: Path) -> None:
    files = prepared(tmp_path, a=sector("0") * 2)
    file = files.open(tmp_path / "a", write=True)
    file.truncate(100)
    file.close()
    zeroed = b"0" * 100 + bytes(SECTOR - 100)
    assert same(states(files), [{"a": sector("0") * 2}, {"a": b"0" * 100}, {"a": zeroed + sector("0")}])


def test_a_file_cut_and_extended_reads_old_or_zeros(tmp_path: Path) -> None:
    files = prepared(tmp_path, a=sector("0") * 2)
    file = files.open(tmp_path / "a", write=True)
    file.truncate(SECTOR)
    file.truncate(SECTOR * 2)
    expected: list[Contents] = [{"a": sector("0") + rest} for rest in (b"", sector("0"), bytes(SECTOR))]
    assert same(states(files, at=1), expected[:2])
    assert same(states(files), expected)
    file.sync()
    assert states(files) == expected[2:]
    file.close()


def test_a_gap_before_a_write_reads_old_or_zeros_too(tmp_path: Path) -> None:
    files = prepared(tmp_path, a=sector("0") * 2)
    file = files.open(tmp_path / "a", write=True)
    file.truncate(SECTOR)
    file.write(b"x", SECTOR * 2)
    file.close()
    whole: list[Contents] = [
        {"a": sector("0") + rest + last} for rest in (sector("0"), bytes(SECTOR)) for last in (b"", b"x", b"\0")
    ]
    assert same(states(files), [{"a": sector("0")}, *whole])


def test_a_store_through_a_window_is_a_write(tmp_path: Path) -> None:
    page = mmap.ALLOCATIONGRANULARITY
    files = prepared(tmp_path, a=b"0" * page * 2)
    file = files.open(tmp_path / "a", write=True)
    window = file.map(page, page)
    window[SECTOR : SECTOR + 3] = b"xyz"
    assert window[SECTOR : SECTOR + 3] == b"xyz"
    assert [(op.offset, op.data) for op in files.trace.operations if isinstance(op, Written)] == [(page + SECTOR, b"xyz")]
    new = b"0" * (page + SECTOR) + b"xyz" + b"0" * (page - SECTOR - 3)
    assert same(states(files), [{"a": b"0" * page * 2}, {"a": new}])
    file.sync()
    assert states(files) == [{"a": new}]
    window.close()
    file.close()


def test_a_name_is_durable_only_after_its_folder_is_synced(tmp_path: Path) -> None:
    files = TracedFiles(tmp_path)
    write_synced(files, tmp_path / "a", [b"abc"])
    assert same(states(files), [{}, {"a": b"abc"}])
    files.sync_folder(tmp_path)
    assert states(files) == [{"a": b"abc"}]


def test_a_durable_name_says_nothing_of_the_data(tmp_path: Path) -> None:
    files = TracedFiles(tmp_path)
    file = files.open(tmp_path / "a", write=True, create=True)
    file.write(b"abc", 0)
    file.close()
    files.sync_folder(tmp_path)
    assert same(states(files), [{"a": b""}, {"a": b"abc"}, {"a": b"\0\0\0"}])


def test_a_rename_is_atomic(tmp_path: Path) -> None:
    files = prepared(tmp_path, a=b"new", b=b"old")
    files.rename(tmp_path / "a", tmp_path / "b")
    assert same(states(files), [{"a": b"new", "b": b"old"}, {"b": b"new"}])
    files.sync_folder(tmp_path)
    assert states(files) == [{"b": b"new"}]


def test_a_rename_of_a_lost_file_has_no_effect(tmp_path: Path) -> None:
    files = prepared(tmp_path, b=b"old")
    write_synced(files, tmp_path / "a", [b"new"])
    files.rename(tmp_path / "a", tmp_path / "b")
    assert same(states(files), [{"b": b"old"}, {"a": b"new", "b": b"old"}, {"b": b"new"}])


def test_a_rename_to_another_folder_is_settled_by_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    files = prepared(tmp_path)
    write_synced(files, tmp_path / "a", [b"1"])
    files.rename(tmp_path / "a", tmp_path / "done" / "a")
    files.sync_folder(tmp_path)
    assert same(states(files), [{"a": b"1", "done": None}, {"done": None, "done/a": b"1"}])
    files.sync_folder(tmp_path / "done")
    assert states(files) == [{"done": None, "done/a": b"1"}]


def test_syncing_the_new_folder_of_a_rename_keeps_the_file_whose_creation_was_pending(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    files = prepared(tmp_path)
    write_synced(files, tmp_path / "a", [b"1"])
    files.rename(tmp_path / "a", tmp_path / "done" / "a")
    files.sync_folder(tmp_path / "done")
    assert states(files) == [{"done": None, "done/a": b"1"}]


def test_removing_and_linking_are_pending_one_by_one(tmp_path: Path) -> None:
    files = prepared(tmp_path, a=b"1")
    files.link(tmp_path / "a", tmp_path / "b")
    files.unlink(tmp_path / "a")
    assert same(states(files), [{"a": b"1"}, {"a": b"1", "b": b"1"}, {"b": b"1"}, {}])


def test_a_lost_folder_takes_everything_with_it(tmp_path: Path) -> None:
    files = TracedFiles(tmp_path)
    files.mkdir(tmp_path / "log")
    write_synced(files, tmp_path / "log" / "a", [b"1"])
    files.sync_folder(tmp_path / "log")
    assert same(states(files), [{}, {"log": None, "log/a": b"1"}])
    files.sync_folder(tmp_path)
    files.unlink(tmp_path / "log" / "a")
    files.rmdir(tmp_path / "log")
    assert same(states(files), [{}, {"log": None}, {"log": None, "log/a": b"1"}])


def test_a_renamed_folder_moves_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a").write_bytes(b"1")
    files = TracedFiles(tmp_path)
    file = files.open(tmp_path / "new" / "a", write=True)
    files.rename(tmp_path / "new", tmp_path / "kept")
    file.write(b"2", 0)
    file.close()
    assert same(states(files), [{name: None, f"{name}/a": data} for name in ("new", "kept") for data in (b"1", b"2")])


def test_an_atomic_replacement_leaves_the_old_or_the_new_content_at_every_moment(tmp_path: Path) -> None:
    files = prepared(tmp_path, a=sector("0") * 2)
    replace_file(files, tmp_path / "a", [sector("1") * 3])
    for at in range(len(files.trace) + 1):
        assert {contents["a"] for contents in states(files, at)} <= {sector("0") * 2, sector("1") * 3}
    assert states(files) == [{"a": sector("1") * 3}]


def test_states_written_are_real_files(tmp_path: Path) -> None:
    root, disk = tmp_path / "root", tmp_path / "disk"
    (root / "log").mkdir(parents=True)
    (root / "log" / "a").write_bytes(sector("0") * 3)
    files = TracedFiles(root)
    files.link(root / "log" / "a", root / "same")
    file = files.open(root / "same", write=True)
    file.write(sector("A"), SECTOR)
    file.write(b"x", SECTOR * 4)
    file.close()
    found = list(power_loss_states(files.trace, len(files.trace)))
    for number, state in enumerate(found):
        folder = disk / str(number)
        folder.mkdir(parents=True)
        state.write_to(folder)
        names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
        read = {name: None if path.is_dir() else path.read_bytes() for name, path in names.items()}
        assert read == state.contents()
        if "same" in names:
            assert os.path.samefile(names["same"], names["log/a"])


def test_a_state_starts_a_second_trace(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    files = prepared(first, a=sector("0"))
    file = files.open(first / "a", write=True)
    file.write(sector("1"), 0)
    file.close()
    survived = [state for state in power_loss_states(files.trace, 1) if state.contents() == {"a": sector("1")}]
    second.mkdir()
    survived[0].write_to(second)
    again = TracedFiles(second)
    assert read_whole(again, second / "a") == sector("1")
    file = again.open(second / "a", write=True)
    file.write(sector("2"), 0)
    file.close()
    assert same(states(again), [{"a": sector("1")}, {"a": sector("2")}])


def test_marks_stand_in_the_order_of_the_operations(tmp_path: Path) -> None:
    files = TracedFiles(tmp_path)
    files.mark("first")
    write_synced(files, tmp_path / "a", [b"1"])
    files.mark(("second", 2))
    assert files.trace.operations[0] == Mark("first")
    assert files.trace.marks(0) == []
    assert files.trace.marks(len(files.trace) - 1) == ["first"]
    assert files.trace.marks(len(files.trace)) == ["first", ("second", 2)]


def test_a_failed_operation_leaves_no_trace(tmp_path: Path) -> None:
    files = TracedFiles(tmp_path)
    with pytest.raises(FileNotFoundError):
        files.rename(tmp_path / "a", tmp_path / "b")
    with pytest.raises(FileNotFoundError):
        files.open(tmp_path / "no" / "a")
    assert len(files.trace) == 0


def test_what_happened_behind_the_back_is_found_out(tmp_path: Path) -> None:
    files = TracedFiles(tmp_path)
    (tmp_path / "a").write_bytes(b"1")
    with pytest.raises(LookupError, match="behind the back"):
        files.open(tmp_path / "a")
    with pytest.raises(ValueError, match="subpath"):
        files.open(tmp_path.parent / "a", write=True, create=True)


@pytest.mark.parametrize("seed", range(8))
def test_the_extremes_are_the_disk_as_seen_now_and_as_last_synced(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    (tmp_path / "log").mkdir()
    files = prepared(tmp_path, a=rng.randbytes(3000), b=b"")

    def change_something() -> None:
        existing = [path for path in tmp_path.rglob("*") if path.is_file()]
        path = rng.choice([*existing, tmp_path / rng.choice("cd"), tmp_path / "log" / rng.choice("cd")])
        match rng.choice(("rename", "link", "unlink", "write", "write", "truncate")):
            case "rename" if path.exists():
                files.rename(path, tmp_path / rng.choice(("a", "e", "log/e")))
            case "link" if path.exists():
                files.link(path, tmp_path / f"linked {len(files.trace)}")
            case "unlink" if path.exists() and len(existing) > 1:
                files.unlink(path)
            case "truncate":
                file = files.open(path, write=True, create=True)
                file.truncate(rng.randrange(4000))
                file.close()
            case _:
                file = files.open(path, write=True, create=True)
                file.write(rng.randbytes(rng.randrange(1, 1500)), rng.randrange(4000))
                file.close()

    def seen() -> Contents:
        return {
            path.relative_to(tmp_path).as_posix(): None if path.is_dir() else path.read_bytes() for path in tmp_path.rglob("*")
        }

    def sync_everything() -> None:
        for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
            file = files.open(path)
            file.sync()
            file.close()
        files.sync_folder(tmp_path)
        files.sync_folder(tmp_path / "log")

    for _ in range(5):
        for _ in range(10):
            change_something()
        sync_everything()
        synced = seen()
        assert states(files) == [synced]
        for _ in range(10):
            change_something()
        newest, oldest, *_ = power_loss_states(files.trace, len(files.trace), limit=0, sample=5)
        assert newest.contents() == seen()
        assert oldest.contents() == synced


def big_trace(root: Path) -> TracedFiles:
    """A file of newlines, a quarter of it synced and full of stores, as a log is written; its name is pending."""
    files = TracedFiles(root)
    file = files.open(root / "a", write=True, create=True)
    chunk = b"\n" * 65536
    for start in range(0, 1 << 20, len(chunk)):
        file.write(chunk, start)
        if start == 1 << 18:
            file.sync()
    for number in range(1500):
        file.write(b"%099d\n" % number, number * 100)
    file.close()
    return files


def sampled(files: TracedFiles, seed: int) -> list[DiskState]:
    return list(power_loss_states(files.trace, len(files.trace), sample=40, seed=seed))


def test_a_sample_repeats_itself_by_its_seed(tmp_path: Path) -> None:
    files = big_trace(tmp_path)
    first, again, other = ([state.contents() for state in sampled(files, seed)] for seed in (0, 0, 1))
    assert first == again
    assert first[:2] == other[:2]
    assert first[2:] != other[2:]


def test_a_sample_holds_the_extremes_and_nothing_twice(tmp_path: Path) -> None:
    files = big_trace(tmp_path)
    found = [state.contents() for state in sampled(files, 0)]
    assert len(found) == 40
    assert all(found.count(contents) == 1 for contents in found)
    assert {"a": (tmp_path / "a").read_bytes()} in found
    assert {} in found


def test_a_sample_tears_the_middle_alone(tmp_path: Path) -> None:
    files = big_trace(tmp_path)
    newest = (tmp_path / "a").read_bytes()

    def differing(data: bytes) -> list[int]:
        return [at for at in range(0, len(newest), SECTOR) if data[at : at + SECTOR] != newest[at : at + SECTOR]]

    losses = [differing(data) for state in sampled(files, 0) if (data := state.contents().get("a"))]
    assert any(len(lost) == 1 and 0 < lost[0] < 1499 * 100 for lost in losses)


def test_a_state_says_what_was_lost(tmp_path: Path) -> None:
    files = prepared(tmp_path, a=sector("0") * 5)
    file = files.open(tmp_path / "a", write=True)
    file.write(sector("1") * 5 + b"x", 0)
    file.close()
    files.rename(tmp_path / "a", tmp_path / "b")
    said = {state.describe() for state in power_loss_states(files.trace, len(files.trace))}
    assert "everything survived" in said
    assert "lost: rename a -> b" in said
    assert "b: older sectors 0-1, 4 of 6 unsynced" in said
    assert "lost: rename a -> b; a: size 2560 instead of 2561; a: older sectors 0-4 of 6 unsynced" in said


@pytest.mark.parametrize("at", [-1, 1])
def test_a_moment_outside_of_the_trace_is_refused(tmp_path: Path, at: int) -> None:
    with pytest.raises(InvalidSetting):
        next(power_loss_states(TracedFiles(tmp_path).trace, at))
