"""workflows/parameters.py and registry.py: texts become typed parameters, names become functions."""

import functools
import sys
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest

import holdfast
from holdfast import SettingsDiffer, UsageError, Workflow, Workspace, find_workflow, list_workflows, workflow
from holdfast.workflows.parameters import as_config, parameters_of, parse_parameters, require_all


class Colour(Enum):
    RED = "red"


def train(  # type: ignore[no-untyped-def]  # users leave hints out
    session: object,
    *,
    lr: float,
    steps: int = 3,
    name: str = "a",
    shuffle: bool = False,
    layers: list[int] = [1, 2],  # noqa: B006  # a user's function
    limit: int | None = None,
    kind: Literal["adam", "sgd"] = "adam",
    options: dict[str, Any] | None = None,
    unhinted="x",
    switch=False,
    rate=0.5,
    out: Path = Path("a"),  # a user's function
    colour: "Colour | None" = None,
) -> None: ...


KNOWN = parameters_of(train, given=("session",))


def test_the_signature_tells_what_may_be_set() -> None:
    assert [str(KNOWN[name]) for name in ("lr", "steps", "name")] == ["lr: float", "steps: int = 3", "name: str = 'a'"]
    assert "session" not in KNOWN


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("lr=0.5", 0.5),
        ("lr=1", 1.0),
        ("lr=1e-3", 0.001),
        ("steps=12", 12),
        ("name=12", "12"),
        ("name=", ""),
        ("name=a=b", "a=b"),
        ("name=null", "null"),
        ("shuffle=true", True),
        ("shuffle=false", False),
        ("layers=[3, 4]", [3, 4]),
        ("limit=5", 5),
        ("limit=null", None),
        ("kind=sgd", "sgd"),
        ('options={"a": [1, 2.5]}', {"a": [1, 2.5]}),
        ("unhinted=7", "7"),
        ("switch=true", True),
        ("rate=2", 2.0),
        ("out=b/c", Path("b/c")),
        ("colour=red", Colour.RED),
    ],
)
def test_a_text_becomes_the_parameters_type(setting: str, value: object) -> None:
    (found,) = parse_parameters(KNOWN, [setting]).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["steps=1.5"], "steps: int = 3 cannot be '1.5'"),
        (["steps=many"], "steps: int = 3 cannot be 'many'"),
        (["lr="], "lr: float cannot be ''"),
        (["shuffle=maybe"], "shuffle: bool = False cannot be 'maybe'"),
        (["kind=lion"], "kind: .* cannot be 'lion'"),
        (['layers=["a"]'], "layers: .* cannot be"),
        (["learning_rate=1"], "there is no parameter 'learning_rate'; there are: lr: float, steps: int = 3"),
        (["session=x"], "there is no parameter 'session'"),
        (["colour=pink"], "colour: .* cannot be 'pink': Invalid enum value 'pink'"),
        (["switch=maybe"], "switch: bool = False cannot be 'maybe'"),
        (["steps"], "'steps': a parameter is set as name=value"),
        (["steps=1", "steps=2"], "the parameter 'steps' is set twice"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=f"{message}.*Nothing was run"):
        parse_parameters(KNOWN, settings)


def test_what_has_no_default_must_be_set() -> None:
    with pytest.raises(UsageError, match=r"not set: lr: float\. Nothing was run; set it with --param lr="):
        require_all(KNOWN, {"steps": 1})
    require_all(KNOWN, {"lr": 1.0})


def test_a_parameter_without_a_name_is_refused() -> None:
    def odd(lr: float, /) -> None: ...

    with pytest.raises(UsageError, match="the parameter 'lr' has no name to set it by"):
        parameters_of(odd)


USERS = '''
"""A user's own workflows."""
import holdfast

def train(session, *, lr: float = 0.1, steps: int = 3):
    """Train a little."""
    with session(config={"model": "tiny"}) as run:
        for step in run.loop(steps, checkpoint_every=1):
            run.metric(loss=lr / (step + 1))
    return {"lr": lr}

class Group:
    @staticmethod
    def inner(session):
        with session() as run:
            run.note("inner")

def own(*, root: str):
    with holdfast.session("chosen", root=root) as run:
        run.note("own")

number = 7

def plan_of(*, lr: float = 0.1):
    stages = (holdfast.Stage(index=1, name="only", act=lambda: holdfast.Outcome(lr, index=1, phase="all")),)
    return holdfast.Plan(title="mine", phases=(holdfast.Phase(name="all", title="All", stages=stages),))

@holdfast.workflow(f"mine of {__name__}", plan=plan_of)
def mine(session, *, lr: float = 0.1, until=None, watch=None):
    """Mine."""
    with session() as run:
        holdfast.run_stages(run, plan_of(lr=lr), until=until, watch=watch)
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module in the current folder."""
    name = f"users_{tmp_path.name}".replace("-", "_").replace("[", "_").replace("]", "_")
    (tmp_path / f"{name}.py").write_text(USERS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def test_a_function_is_found_by_its_place_and_runs_in_a_session(tmp_path: Path, module: str) -> None:
    found = find_workflow(f"{module}:train")
    assert found.summary == "Train a little."
    assert found.session_name == "train"
    assert found.run(parameters={"lr": 0.5}, root=tmp_path) == {"lr": 0.5}
    (opened,) = [record for record in Workspace(tmp_path).records("train", canonical=False) if record["kind"] == "opened"]
    assert opened["config"] == {"workflow": f"{module}:train", "lr": 0.5, "steps": 3, "model": "tiny"}
    find_workflow(f"{module}:Group.inner").run("nested", root=tmp_path)
    assert Workspace(tmp_path).session("nested").status == "finished"


def test_a_function_that_opens_its_own_session_may(tmp_path: Path, module: str) -> None:
    found = find_workflow(f"{module}:own")
    found.run(parameters={"root": str(tmp_path)})
    assert Workspace(tmp_path).session("chosen").status == "finished"
    with pytest.raises(UsageError, match="takes no `session`, and opens its own: session would say nothing"):
        found.run("other", parameters={"root": str(tmp_path)})
    with pytest.raises(UsageError, match="opens its own: save_mode would say nothing"):
        found.run(parameters={"root": str(tmp_path)}, save_mode="batch")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("full_pipelin", "there is no workflow 'full_pipelin': did you mean full_pipeline?"),
        ("zzz", "there is no workflow 'zzz': there are: .*full_pipeline.*or give package.module:function"),
        ("no_such_module:train", "there is no module 'no_such_module' here or installed"),
        (":train", "':train' is no function: it is written package.module:function"),
        ("{module}:missing", "{module} has no 'missing'"),
        ("{module}:number", "is no function"),
    ],
)
def test_a_workflow_that_is_not_there_is_refused(module: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("{module}", module).replace("?", r"\?")):
        find_workflow(name.replace("{module}", module))


def test_an_error_of_a_users_module_is_its_own(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}_b.py").write_text("import no_such_thing_at_all", encoding="utf-8")
    with pytest.raises(ModuleNotFoundError, match="no_such_thing_at_all"):
        find_workflow(f"{module}_b:train")


def test_a_name_is_registered_once() -> None:
    with pytest.raises(UsageError, match="there is a workflow 'full_pipeline' already"):
        workflow("full_pipeline")(train)
    assert set(list_workflows()) >= {"full_pipeline"}
    assert list_workflows()["full_pipeline"].function.__name__ == "full_pipeline"


def test_public_names_that_come_later_are_there() -> None:
    assert {"KiraEngine", "find_workflow"} <= set(dir(holdfast))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        holdfast.nothing  # noqa: B018


def test_a_registered_function_keeps_its_name_and_plan_however_it_is_found(tmp_path: Path, module: str) -> None:
    found = find_workflow(f"{module}:mine")
    assert found.name == f"mine of {module}"
    assert find_workflow(found.name) is found
    assert len(found.planned({})) == 1
    found.run(root=tmp_path)
    assert found.config({}) == {"workflow": found.name, "lr": 0.1}
    assert Workspace(tmp_path).session(found.name).config == {"workflow": found.name, "lr": 0.1}
    # The usual value written out is no change, and another one is.
    found.run(parameters={"lr": 0.1}, root=tmp_path)
    with pytest.raises(SettingsDiffer, match=r"lr: 0\.1 → 0\.2"):
        found.run(parameters={"lr": 0.2}, root=tmp_path)


def test_what_stands_for_a_function_is_read_as_one() -> None:
    class Called:
        def __call__(self, *, rate: float = 0.5) -> None:
            """Called."""

    assert parameters_of(Called())["rate"].kind is float
    partial = Workflow(name="partial", function=functools.partial(train, lr=0.1))
    assert partial.parameters["lr"].default == 0.1
    assert partial.opens_own is False
    assert "partial" not in partial.summary


def test_a_hint_that_cannot_be_read_is_named() -> None:
    def later(*, rate: "Unknown" = 1) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(UsageError, match="the hint 'Unknown' of the parameter 'rate' cannot be read here"):
        parameters_of(later)
    assert parameters_of(later, given=("rate",)) == {}


def test_the_config_holds_every_parameter_as_a_log_can() -> None:
    values = {"lr": 1.0, "out": Path("b"), "colour": Colour.RED}
    config = as_config(KNOWN, values)
    assert config["out"] == "b"
    assert config["colour"] == "red"
    assert config["steps"] == 3
    assert set(config) == set(KNOWN)
