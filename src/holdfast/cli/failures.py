"""An error as one line that says what to do next."""

from typing import Any


def in_one_line(error: Exception) -> str:
    """What happened and the next step. Our own errors say both already; wrong usage is sent to --help."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{error.strerror or error}. Put that right, or name another folder with --root."
    context: Any = getattr(error, "ctx", None)
    if context is None:
        return _joined(str(error))
    message = _joined(getattr(error, "format_message", lambda: str(error))())
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See: {context.command_path} --help"


def _joined(text: str) -> str:
    return " ".join(text.split())
