"""A small next-token model: the text, the network, its optimizer, its batches. It knows nothing of saving.

What must come back after a kill (`Model`, `Adam`, `Loader`) has `state_dict` and `load_state_dict`, the torch names.
Equal seed, text and machine give equal weights, bit for bit.
"""

import hashlib
import os
import re
import sysconfig
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read once, when numpy loads; more threads would add in another order

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]
Generator = np.random.Generator
State = Mapping[str, object]

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
SKIPPED_FOLDERS = {"test", "tests", "idlelib", "lib2to3", "pydoc_data", "site-packages", "dist-packages", "turtledemo"}
PIECE = re.compile(r"\n *| ?[^\W\d_]+| ?[^\w\s]|\w|\s")  # a line's start with its indent, a word, one other character


def generators(seed: int, count: int) -> list[Generator]:
    """Return independent generators that follow from one seed."""
    return [np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(count)]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A text as token ids. Frequent pieces are one token, all others are spelled, so that no word is unknown."""

    name: str
    sha256: str
    vocabulary: tuple[str, ...]
    train: Ids
    held_out: Ids

    @property
    def start(self) -> int:
        """Return the token that samples follow: a new line, if the text has any."""
        return self.vocabulary.index("\n") if "\n" in self.vocabulary else 0

    def text(self, ids: list[int]) -> str:
        """Spell token ids out."""
        return "".join(self.vocabulary[token] for token in ids)


def read_corpus(path: Path | None, *, max_characters: int, vocabulary_size: int) -> Corpus:
    """Read a text file, or the Python sources of the standard library; every tenth part or file is held out.

    Raises ValueError for a text too short to learn from.
    """
    documents = _library_sources(max_characters) if path is None else _parts(path, max_characters)
    digest = hashlib.sha256("\0".join(documents).encode("utf-8", "surrogatepass")).hexdigest()
    held_out, train = documents[9::10], [text for place, text in enumerate(documents) if place % 10 != 9]
    pieces = Counter(chain.from_iterable(map(PIECE.findall, train)))
    characters = Counter(chain.from_iterable(train))
    alphabet = _most_frequent(characters, vocabulary_size // 4)
    known = {piece: count for piece, count in pieces.items() if piece not in characters}
    vocabulary = (UNKNOWN, *alphabet, *_most_frequent(known, vocabulary_size - len(alphabet) - 1))
    ids: dict[str, tuple[int, ...]] = {piece: (token,) for token, piece in enumerate(vocabulary)}

    def spell(piece: str) -> tuple[int, ...]:
        found = ids.get(piece)
        if found is None:
            found = ids[piece] = tuple(ids.get(letter, (0,))[0] for letter in piece)
        return found

    def encode(texts: list[str]) -> Ids:
        found = chain.from_iterable(map(PIECE.findall, texts))
        return np.fromiter(chain.from_iterable(map(spell, found)), dtype=np.int32)

    corpus = Corpus(
        name="the Python standard library" if path is None else path.name,
        sha256=digest,
        vocabulary=vocabulary,
        train=encode(train),
        held_out=encode(held_out),
    )
    if min(len(corpus.train) // 9, len(corpus.held_out)) < 200:
        raise ValueError(f"{corpus.name}: {sum(map(len, documents))} characters are too few; take a text of some pages")
    return corpus


def _library_sources(max_characters: int) -> list[str]:
    texts, left = [], max_characters
    for folder, folders, names in os.walk(sysconfig.get_path("stdlib")):
        folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
        for name in sorted(names):
            if left and name.endswith(".py") and not name.startswith("_sysconfigdata"):
                texts.append(Path(folder, name).read_text("utf-8", errors="replace")[:left])
                left -= len(texts[-1])
    return texts


def _parts(path: Path, max_characters: int) -> list[str]:
    text = path.read_text("utf-8", errors="replace")[:max_characters]
    size = len(text) // 100 + 1
    return [text[start : start + size] for start in range(0, len(text), size)]


def _most_frequent(counts: Mapping[str, int], most: int) -> list[str]:
    return sorted(counts, key=lambda piece: (-counts[piece], piece))[:most]


class Model:
    """Embeddings of the last tokens, one hidden layer, softmax. The embeddings are the output weights as well."""

    def __init__(self, corpus: Corpus, *, context: int, width: int, hidden: int, rng: Generator) -> None:
        size = len(corpus.vocabulary)
        frequency = np.bincount(corpus.train, minlength=size) + 1.0

        def weights(rows: int, columns: int, scale: float) -> Floats:
            return rng.normal(0.0, scale, (rows, columns)).astype(np.float32)

        self.context = context
        self.parameters: dict[str, Floats] = {
            "embedding": weights(size, width, 0.1),
            "hidden": weights(context * width, hidden, 1.0 / np.sqrt(context * width) * 3.0),
            "hidden_bias": np.zeros(hidden, dtype=np.float32),
            "output": weights(hidden, width, 1.0 / np.sqrt(hidden)),
            "output_bias": np.log(frequency / frequency.sum()).astype(np.float32),
        }

    def probabilities(self, contexts: Ids) -> Floats:
        """Return what comes next after each row of `context` ids: rows by vocabulary."""
        return self._forward(contexts)[3]

    def gradients(self, windows: Ids) -> tuple[float, dict[str, Floats]]:
        """Return the mean loss of rows of `context + 1` ids, in nats a token, and its gradient by parameter."""
        p, contexts, targets, rows = self.parameters, windows[:, :-1], windows[:, -1], np.arange(len(windows))
        inputs, hidden, output, chances = self._forward(contexts)
        loss = -float(np.mean(np.log(chances[rows, targets] + 1e-30)))
        errors = chances  # the gradient of the logits, made in place
        errors[rows, targets] -= 1.0
        errors /= len(windows)
        to_output = errors @ p["embedding"]
        to_hidden = (to_output @ p["output"].T) * (1.0 - hidden * hidden)
        to_inputs = to_hidden @ p["hidden"].T
        embedding = errors.T @ output
        _add_rows(embedding, contexts.ravel(), to_inputs.reshape(contexts.size, -1))
        return loss, {
            "embedding": embedding,
            "hidden": inputs.T @ to_hidden,
            "hidden_bias": to_hidden.sum(axis=0),
            "output": hidden.T @ to_output,
            "output_bias": errors.sum(axis=0),
        }

    def sha256(self) -> str:
        """Return the hash of all weights: equal hashes mean the same model, bit for bit."""
        return hashlib.sha256(b"".join(array.tobytes() for array in self.parameters.values())).hexdigest()

    def state_dict(self) -> dict[str, object]:
        return dict(self.parameters)

    def load_state_dict(self, state: State) -> None:
        for name, array in self.parameters.items():
            array[...] = cast(Floats, state[name])

    def _forward(self, contexts: Ids) -> tuple[Floats, Floats, Floats, Floats]:
        p = self.parameters
        inputs = p["embedding"][contexts].reshape(len(contexts), -1)
        hidden = np.tanh(inputs @ p["hidden"] + p["hidden_bias"])
        output = hidden @ p["output"]
        chances = output @ p["embedding"].T
        chances += p["output_bias"]
        chances -= chances.max(axis=1, keepdims=True)
        np.exp(chances, out=chances)
        chances /= chances.sum(axis=1, keepdims=True)
        return inputs, hidden, output, chances


def _add_rows(total: Floats, places: Ids, rows: Floats) -> None:
    """Add each row to its place in total; places may repeat (in a fixed order, unlike a parallel scatter)."""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    total[ordered[starts]] += np.add.reduceat(rows[order], starts, axis=0)


class Adam:
    """Adam (Kingma and Ba, 2015). Its state is born at the first step, under int keys, as torch's is."""

    def __init__(self, parameters: dict[str, Floats], *, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        self._parameters, self._betas = parameters, betas
        self._state: dict[int, dict[str, int | Floats]] = {}

    def step(self, gradients: Mapping[str, Floats], *, learning_rate: float) -> None:
        """Change every parameter in place."""
        first, second = self._betas
        for key, (name, weights) in enumerate(self._parameters.items()):
            if key not in self._state:
                self._state[key] = {"step": 0, "mean": np.zeros_like(weights), "square": np.zeros_like(weights)}
            state, gradient = self._state[key], gradients[name]
            mean, square = cast(Floats, state["mean"]), cast(Floats, state["square"])
            count = state["step"] = cast(int, state["step"]) + 1
            mean *= first
            mean += (1.0 - first) * gradient
            square *= second
            square += (1.0 - second) * gradient * gradient
            size = np.sqrt(square / (1.0 - second**count)) + 1e-8
            np.subtract(weights, mean * (learning_rate / (1.0 - first**count)) / size, out=weights)

    def state_dict(self) -> dict[str, object]:
        return {"state": {key: dict(state) for key, state in self._state.items()}, "betas": self._betas}

    def load_state_dict(self, state: State) -> None:
        self._betas = cast(tuple[float, float], state["betas"])
        saved = cast(Mapping[int, Mapping[str, int | Floats]], state["state"])
        self._state = {
            key: {name: value if isinstance(value, int) else np.array(value) for name, value in fields.items()}
            for key, fields in saved.items()
        }


class Loader:
    """Batches of windows in a shuffled order, again and again. The order is not state: the generator makes it anew."""

    def __init__(self, tokens: Ids, *, window: int, batch: int, rng: Generator) -> None:
        self._windows = np.lib.stride_tricks.sliding_window_view(tokens, window)
        self._batch, self._rng = batch, rng
        self._shuffle()

    def __next__(self) -> Ids:
        if self._cursor + self._batch > len(self._order):
            self._shuffle()
        chosen = self._order[self._cursor : self._cursor + self._batch]
        self._cursor += self._batch
        return self._windows[chosen]

    def state_dict(self) -> dict[str, object]:
        return {"cursor": self._cursor, "generator": self._before_shuffle}

    def load_state_dict(self, state: State) -> None:
        self._rng.bit_generator.state = cast(Mapping[str, object], state["generator"])
        self._shuffle()
        self._cursor = cast(int, state["cursor"])

    def _shuffle(self) -> None:
        self._before_shuffle = self._rng.bit_generator.state
        self._order, self._cursor = self._rng.permutation(len(self._windows)), 0


class Examiner:
    """Held-out perplexity of the model, and of the two baselines it has to beat, on the same tokens."""

    def __init__(self, corpus: Corpus, *, context: int, most: int) -> None:
        windows = np.lib.stride_tricks.sliding_window_view(corpus.held_out, context + 1)
        self._windows = windows[np.linspace(0, len(windows) - 1, min(most, len(windows)), dtype=np.int64)]
        self._train, self._size = corpus.train, len(corpus.vocabulary)

    def model(self, model: Model) -> float:
        parts = np.array_split(self._windows, len(self._windows) // 500 + 1)
        return _perplexity([model.probabilities(part[:, :-1])[np.arange(len(part)), part[:, -1]] for part in parts])

    def unigram(self) -> float:
        """Frequencies, each counted once more."""
        return _perplexity([self._frequencies()[self._windows[:, -1]]])

    def bigram(self) -> float:
        """Pairs with absolute discounting, interpolated with the unigram (Ney, Essen and Kneser, 1994)."""
        pairs = np.bincount(self._train[:-1].astype(np.int64) * self._size + self._train[1:], minlength=self._size**2)
        counts = pairs.reshape(self._size, self._size)
        before, after = self._windows[:, -2], self._windows[:, -1]
        total, kinds = counts.sum(axis=1)[before], np.count_nonzero(counts, axis=1)[before]
        single = self._frequencies()[after]
        paired = np.maximum(counts[before, after] - 0.75, 0.0) + 0.75 * kinds * single
        return _perplexity([np.where(total > 0, paired / np.maximum(total, 1), single)])

    def _frequencies(self) -> NDArray[np.float64]:
        counts = np.bincount(self._train, minlength=self._size) + 1.0
        return cast(NDArray[np.float64], counts / counts.sum())


def _perplexity(chances: list[NDArray[np.float64]] | list[Floats]) -> float:
    return float(np.exp(-np.mean(np.log(np.concatenate(chances).astype(np.float64) + 1e-30))))


def sample(model: Model, start: int, count: int, *, rng: Generator, heard: Callable[[int, float], None]) -> list[int]:
    """Draw tokens that may follow `start`, likely ones more often than they come; `heard` gets each and its chance."""
    ids = [start] * model.context
    for _ in range(count):
        sharpened = model.probabilities(np.array([ids[-model.context :]], dtype=np.int32))[0].astype(np.float64) ** 1.5
        sums = np.cumsum(sharpened)
        token = int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))
        ids.append(token)
        heard(token, float(sharpened[token] / sums[-1]))
    return ids[model.context :]
