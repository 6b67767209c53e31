"""What we are compared with: the guide's strategies A, B and C (guide.md, Part 1) and the standard library's logging.

The strategies do what the guide's code does, call for call: buffer sizes, file naming, indentation, a commit each.
Added is only what they need to run: the engine's state and a folder, both given in.
"""

import json
import logging
import os
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass
class EngineState:
    """The part of the engine that the guide's strategies read."""

    z: float = 0.0
    phase: str = "UNTRUE"
    tier: int = 1


class TokenInterceptor:
    """Strategy A: a buffer of 100 tokens, one indented JSON file each, named by the number of files in the folder."""

    def __init__(self, save_dir: Path, state: EngineState) -> None:
        self.save_dir, self.state = save_dir, state
        self.save_dir.mkdir(parents=True, exist_ok=True)
        self.buffer: list[dict[str, object]] = []
        self.buffer_size = 100
        self.session_id = datetime.now().strftime("%Y%m%d_%H%M%S")

    def intercept(self, token: str) -> None:
        """Buffer a token."""
        self.buffer.append({"token": token, "timestamp": datetime.now(UTC).isoformat(), "z": self.state.z})
        if len(self.buffer) >= self.buffer_size:
            self.flush()

    def update_from_z(self, phase: str) -> None:
        """Step 3 of the strategy: a change of phase saves what is buffered."""
        if self.state.phase != phase:
            self.state.phase = phase
            self.flush()

    def flush(self) -> None:
        """Write the buffer to a file of its own."""
        if not self.buffer:
            return
        filename = f"tokens_{self.session_id}_{len(os.listdir(self.save_dir))}.json"
        with open(self.save_dir / filename, "w") as f:
            json.dump(
                {
                    "session_id": self.session_id,
                    "tokens": self.buffer,
                    "count": len(self.buffer),
                    "timestamp": datetime.now(UTC).isoformat(),
                },
                f,
                indent=2,
            )
        self.buffer = []


class TokenStreamWriter:
    """Strategy B: one JSON line a token, flushed at once."""

    def __init__(self, folder: Path, epoch: int = 1) -> None:
        stream_path = folder / f"epoch{epoch}_stream.jsonl"
        stream_path.parent.mkdir(parents=True, exist_ok=True)
        self.stream_file = open(stream_path, "a")  # noqa: SIM115  open as long as the writer

    def write(self, token_data: dict[str, object]) -> None:
        """Write a token to the stream."""
        self.stream_file.write(json.dumps(token_data) + "\n")
        self.stream_file.flush()


class TokenDatabase:
    """Strategy C: one row a token in SQLite, committed at once."""

    def __init__(self, db_path: Path, session_id: str, state: EngineState) -> None:
        self.conn = sqlite3.connect(db_path, check_same_thread=False)
        self.session_id, self.state = session_id, state
        self.conn.execute("""
            CREATE TABLE IF NOT EXISTS tokens (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                token TEXT NOT NULL,
                session_id TEXT,
                z_coordinate REAL,
                phase TEXT,
                tier INTEGER,
                timestamp DATETIME DEFAULT CURRENT_TIMESTAMP,
                metadata JSON
            )
        """)
        self.conn.execute("CREATE INDEX IF NOT EXISTS idx_session ON tokens(session_id)")

    def save_token(self, token: str, metadata: object = None) -> None:
        """Insert a token and commit."""
        self.conn.execute(
            "INSERT INTO tokens (token, session_id, z_coordinate, phase, tier, metadata) VALUES (?, ?, ?, ?, ?, ?)",
            (token, self.session_id, self.state.z, self.state.phase, self.state.tier, json.dumps(metadata)),
        )
        self.conn.commit()


# Each of them under one signature: what the program hands over for one token ------------------------------------------


class GuideA:
    """Strategy A as a peer."""

    def __init__(self, folder: Path) -> None:
        self.state = EngineState()
        self.interceptor = TokenInterceptor(folder / "guide-a", self.state)

    def save(self, token: str, z: float, phase: str, tier: int, ts: int, meta: dict[str, Any]) -> None:
        self.state.z = z
        self.interceptor.update_from_z(phase)
        self.interceptor.intercept(token)

    def close(self) -> None:
        self.interceptor.flush()


class GuideB:
    """Strategy B as a peer, with the whole record as its token_data."""

    def __init__(self, folder: Path) -> None:
        self.writer = TokenStreamWriter(folder / "guide-b")

    def save(self, token: str, z: float, phase: str, tier: int, ts: int, meta: dict[str, Any]) -> None:
        self.writer.write({"token": token, "z": z, "phase": phase, "tier": tier, "ts": ts, "meta": meta})

    def close(self) -> None:
        self.writer.stream_file.close()


class GuideBShort:
    """Strategy B with the two fields of the guide's decorator: a fifth of the information of the others."""

    def __init__(self, folder: Path) -> None:
        self.writer = TokenStreamWriter(folder / "guide-b-short")

    def save(self, token: str, z: float, phase: str, tier: int, ts: int, meta: dict[str, Any]) -> None:
        self.writer.write({"token": token, "source": meta["source"]})

    def close(self) -> None:
        self.writer.stream_file.close()


class GuideC:
    """Strategy C as a peer."""

    def __init__(self, folder: Path) -> None:
        self.state = EngineState()
        self.database = TokenDatabase(folder / "guide-c.db", "bench", self.state)

    def save(self, token: str, z: float, phase: str, tier: int, ts: int, meta: dict[str, Any]) -> None:
        state = self.state
        state.z, state.phase, state.tier = z, phase, tier
        self.database.save_token(token, meta)

    def close(self) -> None:
        self.database.conn.close()


class Logging:
    """The standard library's logging to a file: a line a record, one write each."""

    def __init__(self, folder: Path) -> None:
        self.logger = logging.Logger("bench", logging.INFO)
        self.handler = logging.FileHandler(folder / "logging.log", encoding="utf-8")
        self.handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self.logger.addHandler(self.handler)

    def save(self, token: str, z: float, phase: str, tier: int, ts: int, meta: dict[str, Any]) -> None:
        self.logger.info("token=%s z=%r phase=%s tier=%d ts=%d meta=%r", token, z, phase, tier, ts, meta)

    def close(self) -> None:
        self.handler.close()
