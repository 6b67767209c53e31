"""A value as text, so that what two readers decode can be compared, and written down."""

from typing import Any


def describe(value: Any) -> str:
    """Type and content, exactly: 1, 1.0 and True differ, NaN equals itself, sets and dicts do not depend on their order.

    Arrays are described by dtype, shape and their bytes in C order; NumPy's and those of tests.helpers.docs_reader alike.
    """
    kind = type(value)
    if kind is float:
        return f"float {value.hex()}"
    if kind in (list, tuple):
        return f"{kind.__name__} [{', '.join(map(describe, value))}]"
    if kind in (set, frozenset):
        return f"{kind.__name__} [{', '.join(sorted(map(describe, value)))}]"
    if kind is dict:
        return f"dict {{{', '.join(sorted(f'{describe(key)}: {describe(item)}' for key, item in value.items()))}}}"
    if kind.__name__ == "OrderedDict":
        return f"OrderedDict {{{', '.join(f'{describe(key)}: {describe(item)}' for key, item in value.items())}}}"
    if kind is complex:
        return f"complex {value.real.hex()} {value.imag.hex()}"
    if kind.__name__ == "Tensor":
        return f"tensor {_tensor(value)}"
    if kind.__name__ in ("ndarray", "Array"):
        dtype = value.dtype if isinstance(value.dtype, str) else value.dtype.str
        return f"ndarray {dtype} {list(value.shape)} {value.tobytes().hex()}"
    if hasattr(value, "dtype"):
        return _scalar(value)
    return f"{kind.__name__} {value!r}"


def _scalar(value: Any) -> str:
    """NumPy's, or the page's reader's Scalar: the bytes it takes, or its Python value."""
    if isinstance(value.dtype, str):
        return f"numpy {value.dtype} {describe(value.value)}"
    if value.dtype.kind in "mM":
        return f"numpy {value.dtype.str} {describe(value.view('i8').item())}"
    return f"numpy {value.dtype.str} {describe(value[:] if value.dtype.kind in 'SU' else value.item())}"


def _tensor(value: Any) -> str:
    if isinstance(value.dtype, str):
        return f"{value.dtype} {list(value.shape)} {value.tobytes().hex()}"
    import torch

    data = bytes(value.contiguous().view(torch.uint8).numpy())
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)} {data.hex()}"
