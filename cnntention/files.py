"""Reading and writing files: nothing half-written is ever visible, and equal content gives equal bytes."""

import csv
import glob
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntention.errors import UserError

if TYPE_CHECKING:  # at run time they are imported where they are used: planning and `status` need neither
    import numpy as np
    import pandas as pd


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, to be written and closed in the block; it then becomes `path`.

    Parent folders are made. If the block raises (also on Ctrl-C) the temporary file is removed, and what was
    at `path` stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name ends as the target's does, because some writers choose the format by it. Not made by tempfile,
    # whose files nobody else may read.
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def leftovers(path: Path) -> list[Path]:
    """Temporary files of writes to `path` that were killed; also one that is under way, so ask only if none can be."""
    return list(path.parent.glob(f".tmp-{'[0-9a-f]' * 8}-{glob.escape(path.name)}"))


def sync(path: Path) -> None:
    """Have the bytes of a file, or the names in a folder, on the disk before going on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: str | Path) -> str:
    """The file's SHA-256, 64 hexadecimal digits; OSError if it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: str | Path, text: str) -> None:
    """UTF-8, line ends as in `text`."""
    with atomic(path) as temporary:
        temporary.write_bytes(text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Indented, keys in the order given; ValueError for NaN and infinities, which are not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """The file's value; UserError if it is missing or is not JSON."""
    with readable(path):
        return json.loads(Path(path).read_bytes())


def write_csv(path: str | Path, frame: "pd.DataFrame") -> None:
    """The frame's columns without its index."""
    with atomic(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")


def write_rows(path: str | Path, rows: list[dict]) -> None:
    """A CSV of rows that all have the first one's keys, empty for None and NaN; the bytes that `write_csv` makes."""
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows({key: None if value != value else value for key, value in row.items()} for row in rows)


def read_csv(path: str | Path, text: Iterable[str] = ()) -> "pd.DataFrame":
    """A table that `write_csv` wrote; the columns `text` stay text. UserError if it is missing or broken."""
    import pandas as pd

    with readable(path):
        # a dataset may be called "nan", and a commit may be all digits
        return pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=[""])


def truths(values: "pd.Series") -> "pd.Series":
    """A column of yes and no of a table that was read, as bool, without its empty cells."""
    return values.dropna().astype(str).str.lower() == "true"


def write_tensors(
    path: str | Path, arrays: Mapping[str, "np.ndarray"], metadata: Mapping[str, str] | None = None
) -> None:
    """A safetensors file of `arrays`; the same arrays and metadata give the same bytes."""
    import numpy as np
    from safetensors.numpy import save

    blob = memoryview(save({name: np.asarray(array, order="C") for name, array in arrays.items()}))
    end = 8 + int.from_bytes(blob[:8], "little")
    header = bytes(blob[8:end])
    if metadata:
        # safetensors itself writes metadata in an order that changes from process to process.
        entries = {"__metadata__": dict(sorted(metadata.items()))} | json.loads(header)
        header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
        header += b" " * (-len(header) % 8)  # the format aligns the data to 8 bytes
    with atomic(path) as temporary, open(temporary, "wb") as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        file.write(blob[end:])


def read_tensors(path: str | Path) -> dict[str, "np.ndarray"]:
    """The arrays of a safetensors file, by name; UserError if it is missing or broken."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    with readable(path):
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(str(error)) from None


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Turn what goes wrong while one of the project's own files is read into a sentence about that file."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; run the step that writes it.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: cannot be read ({reason}); delete it and run the step that writes it.") from None
