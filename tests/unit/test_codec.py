"""The codec, tag by tag: what comes back, what the stored form looks like, and what is refused by which path."""

import enum
import os
import subprocess
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

import holdfast.codec
from holdfast.codec import MAX_DEPTH, canonical, decode, encode, snapshot
from holdfast.errors import Corrupted, InvalidValue


class Shelf:
    """An ArraySink and ArraySource in memory."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}

    def put(self, path: str, array: NDArray[Any]) -> str:
        self.arrays[path] = array.copy()
        return path

    def get(self, key: str) -> NDArray[Any]:
        return self.arrays[key]


class Unstorable:
    """An object of a class of the user's."""


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Name(str):
    pass


@dataclass
class Options:
    rate: float


class Module:
    def state_dict(self) -> dict[str, object]:
        return {}


Point = namedtuple("Point", "x y")


def stored(value: object) -> Any:
    """The tree of a value, having passed through the bytes of a record."""
    return msgspec.json.decode(msgspec.json.encode(encode(value)))


def back(value: object) -> Any:
    return decode(stored(value))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**63),
        2**63 - 1,
        1.0,
        1e300,
        5e-324,
        "",
        "Φ×|Reactor",
        [],
        [1, "a", None],
        {},
        {"a": {"b": [1.5]}},
    ],
)
def test_plain_json_is_stored_as_it_is_and_not_copied(value: object) -> None:
    assert encode(value) is value
    assert stored(value) == value
    assert type(stored(value)) is type(value)


@pytest.mark.parametrize(
    ("value", "tree"),
    [
        (2**63, {"$t": "int", "v": "0x8000000000000000"}),
        (-(2**63) - 1, {"$t": "int", "v": "-0x8000000000000001"}),
        (float("inf"), {"$t": "float", "v": "inf"}),
        (float("-inf"), {"$t": "float", "v": "-inf"}),
        ("\ud800\udc00", {"$t": "str", "v": "7aCA7bCA"}),
        (b"\x00\xff", {"$t": "bytes", "v": "AP8="}),
        (bytearray(b"\x00\xff"), {"$t": "bytearray", "v": "AP8="}),
        (complex(1, -0.0), {"$t": "complex", "v": [1.0, -0.0]}),
        (range(0, 2**64, 3), {"$t": "range", "v": [0, {"$t": "int", "v": "0x10000000000000000"}, 3]}),
        ((1, (2,)), {"$t": "tuple", "v": [1, {"$t": "tuple", "v": [2]}]}),
        ({10, 9, "a"}, {"$t": "set", "v": ["a", 10, 9]}),
        (frozenset([b"a"]), {"$t": "frozenset", "v": [{"$t": "bytes", "v": "YQ=="}]}),
        ({1: "a", "1": "b"}, {"$t": "dict", "v": [[1, "a"], ["1", "b"]]}),
        ({"$t": "int", "v": "0x1"}, {"$t": "dict", "v": [["$t", "int"], ["v", "0x1"]]}),
        (OrderedDict(b=1, a=2), {"$t": "OrderedDict", "v": [["b", 1], ["a", 2]]}),
        (np.float32(1.5), {"$t": "numpy", "v": ["<f4", 1.5]}),
        (np.bool_(True), {"$t": "numpy", "v": ["|b1", True]}),
        (np.uint64(2**64 - 1), {"$t": "numpy", "v": ["<u8", {"$t": "int", "v": "0xffffffffffffffff"}]}),
        (np.datetime64("1970-01-02", "D"), {"$t": "numpy", "v": ["<M8[D]", 1]}),
    ],
)
def test_each_tag_is_stored_in_its_documented_form_and_comes_back(value: object, tree: object) -> None:
    assert stored(value) == tree
    assert back(value) == value
    assert type(back(value)) is type(value)


def test_nan_and_negative_zero_come_back() -> None:
    found = back([float("nan"), -0.0, np.float64("nan"), complex("nan-infj")])
    assert [repr(item) for item in found] == ["nan", "-0.0", "np.float64(nan)", "(nan-infj)"]


def test_an_integer_beyond_the_digit_limit_of_decimal_text_comes_back() -> None:
    value = 7**10_000
    assert back(value) == value


def test_mixed_keys_keep_their_types_and_their_order() -> None:
    value = {2: "a", (1, "x"): "b", "2": "c", None: "d", 1.5: "e", True: "f", b"k": "g", np.int8(9): "h", "\udc80": "i"}
    found = back(value)
    assert list(found.items()) == list(value.items())
    assert [type(key) for key in found] == [type(key) for key in value]


def test_two_nan_keys_stay_two() -> None:
    assert len(back({float("nan"): 1, float("nan"): 2})) == 2


def test_a_dict_that_looks_like_a_tag_comes_back_as_that_dict() -> None:
    value = {"$t": "tuple", "v": [{"$t": "unknown"}, {"a": {"$t": 1, "b": (2,)}}]}
    assert back(value) == value
    assert back(stored(value)) == stored(value)


@pytest.mark.parametrize("flat", [True, False])
def test_a_snapshot_shares_nothing_mutable_with_the_value(flat: bool) -> None:
    value: dict[str, Any] = {"a": 1, "b": "x"} if flat else {"a": [1, [2]], "b": {"c": {}}, "d": bytearray(b"12")}
    tree = snapshot(value)
    before = msgspec.json.encode(tree)
    if not flat:
        value["a"][1].append(3)
        value["b"]["c"]["new"] = 1
        value["d"].extend(b"3")
    value["a"] = 0
    assert msgspec.json.encode(tree) == before


def test_decoding_shares_nothing_mutable_with_the_tree() -> None:
    tree: dict[str, Any] = {"a": [1, {"b": 2}]}
    found: Any = decode(tree)
    found["a"][1]["b"] = 3
    assert tree == {"a": [1, {"b": 2}]}


@pytest.mark.parametrize(
    ("value", "path", "hint"),
    [
        (lambda: 0, "value", "look it up again"),
        (len, "value", "look it up again"),
        (Unstorable, "value", "look it up again"),
        ([1, threading.Lock()], "value[1]", "make a new one after a resume"),
        ({"a": {"b": Unstorable()}}, "value['a']['b']", "state_dict()/load_state_dict()"),
        ({"a": (1, Module())}, "value['a'][1]", "store its state_dict()"),
        ({3: Options(0.1)}, "value[3]", "dataclasses.asdict"),
        ([Color.RED], "value[0]", "store its .value"),
        ([Level.LOW], "value[0]", "store its .value"),
        ([Name("x")], "value[0]", "convert it to str"),
        ({Name("x"): 1}, "value['x']", "convert it to str"),
        (defaultdict(int), "value", "convert it to dict"),
        (Counter(), "value", "convert it to dict"),
        (Point(1, 2), "value", "convert it to tuple"),
        (SimpleNamespace(), "value", "convert it to dict"),
        (deque(), "value", "convert it to dict"),
        (Path("x"), "value", "convert it to str"),
        (iter([]), "value", "make it anew"),
        ({"g": np.random.default_rng(0)}, "value['g']", ".bit_generator.state"),
        ({"a": np.array([object()])}, "value['a']", "the dtype object cannot be stored"),
        ({"a": np.zeros(2, "i4,f8")}, "value['a']", "cannot be stored"),
        (np.zeros(2, np.longdouble), "value", "at most 64 bits"),
        (np.longdouble(1), "value", "at most 64 bits"),
        (np.ma.masked_array([1]), "value", "numpy.asarray"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_its_path_with_a_hint(value: object, path: str, hint: str) -> None:
    for function in (encode, snapshot):
        with pytest.raises(InvalidValue) as caught:
            function(value)
        assert caught.value.path == path
        assert hint in caught.value.reason


def test_the_path_begins_with_the_name_of_the_field() -> None:
    with pytest.raises(InvalidValue, match=r"state\.optimizer\['param_groups'\]\[0\]\['hook'\]: function cannot be stored"):
        encode({"param_groups": [{"hook": lambda: 0}]}, "state.optimizer")


def test_an_open_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "x").open("w") as file, pytest.raises(InvalidValue, match=r"value\['f'\].*path and position"):
        encode({"f": file})


def test_a_set_names_the_element_that_cannot_be_stored() -> None:
    with pytest.raises(InvalidValue, match=r"value\[\(<class .*Unstorable'>, 2\)\]\[0\]: type cannot be stored"):
        encode({1, (Unstorable, 2)})


def nested(levels: int, wrap: Callable[[object], object]) -> object:
    value: object = ()
    for _ in range(levels - 1):
        value = wrap(value)
    return value


WRAPS = {
    "list": lambda value: [value],
    "dict": lambda value: {"k": value},
    "pairs": lambda value: {1: value},
    "tuple": lambda value: (value,),
    "frozenset": lambda value: frozenset([value]),
    "OrderedDict": lambda value: OrderedDict(k=value),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_two_hundred_levels_come_back_and_one_more_is_refused(wrap: Callable[[object], object]) -> None:
    value = nested(MAX_DEPTH, wrap)
    tree = stored(value)
    assert msgspec.json.encode(encode(decode(tree))) == msgspec.json.encode(tree)
    assert canonical(tree)
    with pytest.raises(InvalidValue, match="deeper than 200 levels"):
        encode(wrap(value))


def test_a_value_that_contains_itself_is_refused() -> None:
    value: dict[str, Any] = {"a": []}
    value["a"].append(value)
    with pytest.raises(InvalidValue, match=r"value\['a'\]\[0\]\['a'\]: .*contains itself"):
        encode(value)


def test_an_unknown_tag_says_that_a_newer_holdfast_may_have_written_it() -> None:
    with pytest.raises(InvalidValue, match="unknown tag 'quaternion'; a newer Holdfast may have written it"):
        decode([{"$t": "quaternion", "v": 1}])


@pytest.mark.parametrize(
    "tree",
    [
        {"$t": 1, "v": 1},
        {"$t": ["int"], "v": 1},
        {"$t": "int"},
        {"$t": "int", "x": "0x1"},
        {"$t": "int", "v": "0x1", "more": 1},
        {"$t": "int", "v": 5},
        {"$t": "int", "v": "xyz"},
        {"$t": "float", "v": "1.5"},
        {"$t": "float", "v": []},
        {"$t": "str", "v": "!"},
        {"$t": "str", "v": "/w=="},
        {"$t": "str", "v": None},
        {"$t": "bytes", "v": "AP8"},
        {"$t": "bytes", "v": "AP 8="},
        {"$t": "bytearray", "v": {}},
        {"$t": "complex", "v": [1.0]},
        {"$t": "complex", "v": ["1", 2.0]},
        {"$t": "range", "v": [0, 1, 0]},
        {"$t": "range", "v": [0, 1.0, 1]},
        {"$t": "tuple", "v": "ab"},
        {"$t": "set", "v": [[]]},
        {"$t": "set", "v": [1, 1]},
        {"$t": "frozenset", "v": 3},
        {"$t": "dict", "v": {"a": 1}},
        {"$t": "dict", "v": ["ab"]},
        {"$t": "dict", "v": [[1, 2, 3]]},
        {"$t": "dict", "v": [[[], 1]]},
        {"$t": "dict", "v": [[1, 1], [1, 2]]},
        {"$t": "OrderedDict", "v": None},
        {"$t": "numpy", "v": ["<f4", "1.5"]},
        {"$t": "numpy", "v": ["|i1", 1000]},
        {"$t": "numpy", "v": ["O", 1]},
        {"$t": "numpy", "v": ["nonsense", 1]},
        {"$t": "numpy", "v": ["<M8[s]", "now"]},
        {"$t": "ndarray", "v": ["<f4", [2], "AAAA"]},
        {"$t": "ndarray", "v": ["<f4", [-1], ""]},
        {"$t": "ndarray", "v": ["<f4", "2", ""]},
        {"$t": "ndarray", "v": ["<f4", [2**62, 2**62, 0, 2**62], ""]},
        {"$t": "ndarray", "v": ["|O", [1], "AAAAAAAAAAA="]},
        {"$t": "ndarray", "v": ["<f4", [1], 5]},
        {"$t": "axes", "v": [[0, 1], {"$t": "ndarray", "v": ["|u1", [1], "AA=="]}]},
        {"$t": "axes", "v": [[0], [1]]},
        {"$t": "array", "v": "somewhere"},
        {"$t": "array", "v": 3},
    ],
)
def test_a_malformed_tag_is_refused_as_an_invalid_value(tree: object) -> None:
    with pytest.raises(InvalidValue):
        decode({"state": [tree]})


def test_a_missing_array_is_refused_by_its_key() -> None:
    with pytest.raises(InvalidValue, match="'gone'"):
        decode({"$t": "array", "v": "gone"}, arrays=Shelf())


def test_an_error_of_the_storage_passes_through() -> None:
    class Broken:
        def get(self, key: str) -> NDArray[Any]:
            raise Corrupted(key, 0, "wrong hash")

    with pytest.raises(Corrupted):
        decode({"$t": "array", "v": "a"}, arrays=Broken())


ARRAYS: dict[str, NDArray[Any]] = {
    "float32": np.arange(6, dtype="f4").reshape(2, 3),
    "no dimension": np.array(2.5),
    "empty": np.zeros((0, 3), "i8"),
    "bool": np.array([True, False]),
    "float16": np.array([1, np.nan, -0.0], "f2"),
    "complex": np.array([1 + 2j, complex("nan")]),
    "big-endian": np.arange(3, dtype=">i4"),
    "dates": np.array(["2024-01-01", "NaT"], "M8[s]"),
    "spans": np.array([1, 2], "m8[25us]"),
    "text": np.array(["a", "Φ×"]),
    "empty text": np.array(["", ""]),
    "byte strings": np.array([b"a", b"bc"]),
    "Fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "channels last": np.arange(24).reshape(1, 2, 3, 4).transpose(0, 3, 1, 2),
    "strided": np.arange(10)[::3],
    "reversed": np.arange(4)[::-1],
    "broadcast": np.broadcast_to(np.array([1, 2]), (3, 2)),
    "read-only": np.frombuffer(b"abcd", "u1"),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("outside", [False, True])
def test_an_array_comes_back_with_its_dtype_shape_and_values(array: NDArray[Any], outside: bool) -> None:
    shelf = Shelf() if outside else None
    tree = msgspec.json.decode(msgspec.json.encode(encode({"w": array}, "state", arrays=shelf)))
    decoded: Any = decode(tree, arrays=shelf)
    found = decoded["w"]
    assert type(found) is np.ndarray
    assert (found.dtype, found.dtype.str, found.shape) == (array.dtype, array.dtype.str, array.shape)
    assert found.tobytes() == array.tobytes()
    assert found.flags.writeable
    if shelf:
        assert all(kept.flags.c_contiguous and kept.dtype.kind in "biuf" for kept in shelf.arrays.values())
        assert set(shelf.arrays) == ({"state['w']"} if array.size else set())


@pytest.mark.parametrize("name", ["float32", "Fortran", "channels last"])
def test_an_array_without_gaps_keeps_its_memory_order(name: str) -> None:
    assert back(ARRAYS[name]).strides == ARRAYS[name].strides


def test_a_decoded_array_does_not_share_memory_with_the_original() -> None:
    array = np.zeros(2)
    back(array)[0] = 1
    assert array[0] == 0


@pytest.mark.parametrize(
    "scalar",
    [
        np.float16(0.1),
        np.float64(0.1),
        np.int8(-3),
        np.uint16(7),
        np.complex64(1 + 2j),
        np.complex128(1j),
        np.str_("aΦ"),
        np.str_(""),
        np.bytes_(b"x"),
        np.timedelta64(3, "h"),
        np.datetime64("2024-01-01T00:00:00.000001"),
    ],
)
def test_a_numpy_scalar_comes_back_with_its_type(scalar: Any) -> None:
    found = back(scalar)
    assert type(found) is type(scalar)
    assert found == scalar
    assert found.dtype == scalar.dtype


@pytest.mark.parametrize("scalar", [np.str_("a\0"), np.bytes_(b"a\0\0")])
def test_trailing_zeros_of_a_numpy_text_come_back(scalar: Any) -> None:
    assert [*back(scalar)] == [*scalar]
    assert len(back(scalar)) > 1


def test_not_a_time_comes_back() -> None:
    assert np.isnat(back(np.datetime64("NaT")))


def test_canonical_bytes_do_not_depend_on_the_order_of_dicts() -> None:
    one = {"b": {1: "x", (2,): {"d": 1, "c": 2}}, "a": [1]}
    other = {"a": [1], "b": {(2,): {"c": 2, "d": 1}, 1: "x"}}
    assert canonical(encode(one)) == canonical(encode(other))
    assert canonical({"b": 1, "a": {"d": 1.0, "c": 2}}) == b'{"a":{"c":2,"d":1.0},"b":1}'


def test_canonical_bytes_differ_where_values_differ() -> None:
    values = [{1: 1}, {True: 1}, {"1": 1}, {1.0: 1}, [1], (1,), [1.0], [True], {1}, OrderedDict([(1, 1)])]
    ordered = [OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)]
    assert len({canonical(encode(value)) for value in [*values, *ordered]}) == len(values) + len(ordered)


def test_canonical_leaves_the_tree_as_it_is() -> None:
    tree = encode({2: 1, 1: 2})
    canonical(tree)
    assert tree == {"$t": "dict", "v": [[2, 1], [1, 2]]}


def in_a_new_interpreter(code: str, **environment: str) -> str:
    source = str(Path(holdfast.codec.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_sets_are_stored_in_the_same_bytes_under_every_hash_seed() -> None:
    code = (
        "from holdfast.codec import encode, canonical; words = 'the quick brown fox jumps over a lazy dog'.split()\n"
        "print(canonical(encode([set(words), {frozenset(words), (*words,), 'x', b'y', None, 1.5}])).decode())\n"
        "print(list(set(words)))"
    )
    first, second = (in_a_new_interpreter(code, PYTHONHASHSEED=seed).split("\n") for seed in ("1", "2"))
    assert first[0] == second[0]
    assert first[1] != second[1], "the two seeds give sets another order, or this test proves nothing"


def test_numpy_and_torch_are_not_imported_for_values_without_them() -> None:
    code = (
        "import sys; from holdfast.codec import decode, encode; decode(encode([1, (2,), {3}, {4: b'5'}]))\n"
        "print({'numpy', 'torch'} & set(sys.modules))"
    )
    assert in_a_new_interpreter(code) == "set()"


def test_a_tensor_without_torch_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InvalidValue, match="pip install torch"):
        decode({"$t": "tensor", "v": ["float32", {"$t": "ndarray", "v": ["<f4", [1], "AAAAAA=="]}]})


class TestTensors:
    """Run where torch is installed."""

    @pytest.fixture
    def torch(self) -> Any:
        return pytest.importorskip("torch")

    @pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16", "int64", "uint8", "bool", "complex64"])
    @pytest.mark.parametrize("outside", [False, True])
    def test_a_tensor_comes_back_with_its_dtype_and_values(self, torch: Any, name: str, outside: bool) -> None:
        shelf = Shelf() if outside else None
        for tensor in (
            torch.arange(6).reshape(2, 3).to(getattr(torch, name)),
            torch.tensor(1, dtype=getattr(torch, name)),
        ):
            tree = msgspec.json.decode(msgspec.json.encode(encode(tensor, arrays=shelf)))
            found: Any = decode(tree, arrays=shelf)
            assert found.dtype is tensor.dtype
            assert found.shape == tensor.shape
            assert torch.equal(found, tensor)

    def test_float8_keeps_its_bits(self, torch: Any) -> None:
        tensor = torch.tensor([1.5, -2.0]).to(torch.float8_e4m3fn)
        assert torch.equal(back(tensor).view(torch.uint8), tensor.view(torch.uint8))

    def test_a_parameter_comes_back_as_a_tensor_without_gradient(self, torch: Any) -> None:
        found = back(torch.nn.Parameter(torch.ones(2)))
        assert type(found) is torch.Tensor
        assert not found.requires_grad

    def test_memory_order_is_kept(self, torch: Any) -> None:
        tensor = torch.zeros(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
        assert back(tensor).stride() == tensor.stride()

    def test_an_optimizer_state_comes_back(self, torch: Any) -> None:
        weight = torch.nn.Parameter(torch.ones(2))
        optimizer = torch.optim.Adam([weight])
        weight.sum().backward()
        optimizer.step()
        found, state = back(optimizer.state_dict()), optimizer.state_dict()
        assert found["param_groups"] == state["param_groups"]
        assert type(found["param_groups"][0]["betas"]) is tuple
        assert torch.equal(found["state"][0]["exp_avg"], state["state"][0]["exp_avg"])

    @pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
    def test_what_no_array_can_hold_is_refused(self, torch: Any) -> None:
        for tensor in (torch.eye(2).to_sparse(), torch.zeros(2, device="meta"), torch.zeros(1, dtype=torch.complex32)):
            with pytest.raises(InvalidValue, match=r"value\['w'\].*tensor"):
                encode({"w": tensor})
        with pytest.raises(InvalidValue, match="hashes by identity"):
            encode({torch.ones(1): 1})

    def test_a_dtype_that_does_not_fit_the_array_is_refused(self, torch: Any) -> None:
        for name in ("float64", "nn", "nothing", 3):
            with pytest.raises(InvalidValue):
                decode({"$t": "tensor", "v": [name, {"$t": "ndarray", "v": ["<f4", [1], "AAAAAA=="]}]})
