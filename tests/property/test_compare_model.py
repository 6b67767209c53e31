"""Comparing random runs: equal where the digests are, else the first difference that two plain lists have."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Workspace
from holdfast.reading import compare, digest
from holdfast.records import canonical_bytes
from holdfast.sessions.opening import start
from tests.helpers.quick import QuickFiles

numbers = itertools.count()
texts = st.sampled_from(["Φ×|Reactor|celestial_em", "e", "e+|NP0|t4"])
values = st.sampled_from([0.5, 1.0, 1, -0.0, 0.0, float("nan"), float("inf"), 10**400])
lanes = st.sampled_from([None, "side", "other"])
operations = st.one_of(
    st.tuples(st.just("token"), lanes, texts, st.sampled_from([None, "A", "B"])),
    st.tuples(st.just("metric"), lanes, st.sampled_from(["loss", "score"]), values),
    st.tuples(st.just("module"), lanes, texts, values),
)
runs = st.lists(operations, max_size=30)


def record(root: Path, name: str, run_of: list[Any]) -> None:
    with start(name, root=root, files=QuickFiles()) as run:
        run.checkpoint()  # a session in which nothing at all was recorded does not exist
        for kind, lane, what, value in run_of:
            with run.lane(lane or "main"):
                if kind == "token":
                    run.token(what, phase=value)
                elif kind == "metric":
                    run.metric(**{what: value})
                else:
                    run.module(what, value)


def by_lane(workspace: Workspace, name: str) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = defaultdict(list)
    for fields in workspace.records(name):
        found[fields.get("lane", "")].append(canonical_bytes(fields))
    return found


@pytest.fixture(scope="module")
def few_between_marks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest, "MARK_EVERY", 3)
        patch.setattr(compare, "MARK_EVERY", 3)
        yield


@settings(max_examples=60)
@given(first=runs, second=st.none() | runs, cut=st.integers(0, 30))
def test_two_runs_differ_where_their_lists_do(
    few_between_marks: None, tmp_path_factory: pytest.TempPathFactory, first: list[Any], second: list[Any] | None, cut: int
) -> None:
    root = tmp_path_factory.getbasetemp() / f"compare-{next(numbers)}"
    record(root, "a", first)
    record(root, "b", first if second is None else [*first[:cut], *second])
    workspace = Workspace(root)
    found = workspace.compare("a", "b")
    assert found.equal is (workspace.digest("a") == workspace.digest("b"))
    assert (found.a.sha256, found.b.sha256) == (workspace.digest("a"), workspace.digest("b"))
    assert found.equal is (not found.first_differences)
    a, b = by_lane(workspace, "a"), by_lane(workspace, "b")
    expected = {
        lane: next(index for index, (one, other) in enumerate(zip_longest(a[lane], b[lane])) if one != other)
        for lane in sorted({*a, *b})
        if a[lane] != b[lane]
    }
    assert {first.lane: first.index for first in found.first_differences} == expected
    for first_difference in found.first_differences:
        both_there = first_difference.n_a is not None and first_difference.n_b is not None
        assert bool(first_difference.changes) is both_there
