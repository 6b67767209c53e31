"""Any nested value of the supported types passes through encode, JSON bytes and decode without a change."""

from collections import OrderedDict
from typing import Any

import msgspec
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from holdfast.codec import canonical, decode, encode, snapshot


def picture(value: Any) -> str:
    """Draw a value as text that is equal for equal values of equal types only; elements of sets in sorted order."""
    kind = type(value)
    if kind in (list, tuple):
        inner = ",".join(map(picture, value))
    elif kind in (dict, OrderedDict):
        inner = ",".join(f"{picture(key)}:{picture(item)}" for key, item in value.items())
    elif kind in (set, frozenset):
        inner = ",".join(sorted(map(picture, value)))
    elif kind is np.ndarray:
        inner = f"{value.dtype.str}{value.shape}{value.strides}{value.tobytes().hex()}"
    elif isinstance(value, np.generic):
        inner = f"{value.dtype.str}{value!r}"
    elif kind is int:
        inner = hex(value)
    else:
        inner = ascii(value)
    return f"{kind.__name__}({inner})"


def same(one: object, other: object) -> bool:
    return picture(one) == picture(other)


texts = st.text(max_size=8) | st.text(st.characters(), max_size=4) | st.sampled_from(["$t", "v", "\ud800\udc00"])
integers = st.integers() | st.integers(-(2**200), 2**200) | st.sampled_from([2**63 - 1, 2**63, -(2**63), -(2**63) - 1])
scalars = (
    hnp.scalar_dtypes()
    .filter(lambda dtype: dtype.itemsize <= (16 if dtype.kind == "c" else 8))
    .flatmap(lambda dtype: hnp.from_dtype(dtype.newbyteorder("=")))
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    st.floats(),
    texts,
    st.binary(max_size=8),
    st.complex_numbers(),
    st.builds(range, integers, integers, st.integers(1, 9)),
)
hashables = st.recursive(
    leaves | scalars,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
arrays = hnp.arrays(hnp.scalar_dtypes().filter(lambda dtype: dtype.itemsize <= 8), hnp.array_shapes(min_dims=0, max_side=3))
look_alikes = st.fixed_dictionaries(
    {"$t": st.sampled_from(["int", "tuple", "dict", "nothing"]), "v": leaves | st.lists(leaves, max_size=2)}
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(texts, inner, max_size=4),
        st.dictionaries(hashables, inner, max_size=4),
        st.dictionaries(texts, inner, max_size=3).map(lambda value: {**value, "$t": "v"}),
        st.fixed_dictionaries({"$t": inner, "v": inner}),
        st.lists(st.tuples(hashables, inner), max_size=3).map(OrderedDict),
        st.sets(hashables, max_size=4),
        st.frozensets(hashables, max_size=4),
    )


values = st.recursive(leaves | scalars | arrays | look_alikes | st.binary(max_size=8).map(bytearray), containers, max_leaves=12)
quick = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@quick
@given(values)
def test_any_value_comes_back_from_its_bytes_with_identical_types_and_order(value: object) -> None:
    before = picture(value)
    data = msgspec.json.encode(encode(value))
    found = decode(msgspec.json.decode(data))
    assert same(found, value)
    assert msgspec.json.encode(encode(found)) == data
    assert picture(value) == before


@quick
@given(values)
def test_a_snapshot_is_the_same_tree_as_an_encoding(value: object) -> None:
    assert msgspec.json.encode(snapshot(value)) == msgspec.json.encode(encode(value))


@quick
@given(values)
def test_a_tree_is_a_value_too(value: object) -> None:
    tree = msgspec.json.decode(msgspec.json.encode(encode(value)))
    assert same(decode(msgspec.json.decode(msgspec.json.encode(encode(tree)))), tree)


@quick
@given(st.dictionaries(texts, leaves, max_size=8))
def test_a_flat_dict_comes_back(value: dict[str, object]) -> None:
    assert same(decode(msgspec.json.decode(msgspec.json.encode(encode(value)))), value)


@quick
@given(st.lists(st.tuples(hashables, leaves), max_size=5, unique_by=lambda pair: canonical(encode(pair[0]))), st.randoms())
def test_canonical_bytes_are_equal_for_any_order_of_keys(pairs: list[tuple[object, object]], random: Any) -> None:
    value = dict(pairs)
    shuffled = list(value.items())
    random.shuffle(shuffled)
    assert canonical(encode(dict(shuffled))) == canonical(encode(value))


@quick
@given(st.lists(hashables, max_size=6), st.randoms())
def test_a_set_is_stored_in_the_same_bytes_whatever_its_order_inside(items: list[object], random: Any) -> None:
    unique = list(set(items))
    random.shuffle(unique)
    assert msgspec.json.encode(encode(set(unique))) == msgspec.json.encode(encode(set(items)))
