"""Reading and writing files: atomically, and with equal bytes for equal content."""

import csv
import glob
import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntention.errors import UserError

if TYPE_CHECKING:  # imported only where they are used: planning and `status` need neither
    import numpy as np
    import pandas as pd


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, to be written in the block and then renamed to `path`.

    Creates parent folders. If the block raises (also on Ctrl-C), the temporary file is removed and `path` unchanged.
    Raises UserError if the disk refuses.
    """
    path = Path(path)
    # the target's suffix, since some writers choose the format by it; not tempfile, whose files only the owner may read
    temporary = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def leftovers(path: Path) -> list[Path]:
    """Temporary files of killed writes to `path`, and of running ones: call it only if none can be running."""
    return list(path.parent.glob(f".tmp-{'[0-9a-f]' * 8}-{glob.escape(path.name)}"))


def sync(path: Path) -> None:
    """Flush a file's bytes, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bytes(path: str | Path, sha256: str | None = None) -> bytes:
    """The file's bytes; UserError if it is missing, or if their SHA-256 is not this one."""
    with readable(path):
        content = Path(path).read_bytes()
        if sha256 not in (None, hashlib.sha256(content).hexdigest()):
            raise ValueError("its SHA-256 is not the recorded one")
    return content


def sha256(path: str | Path) -> str:
    """The file's SHA-256, 64 hexadecimal digits; OSError if it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8, with the line ends of `text`."""
    with atomic(path) as temporary:
        temporary.write_bytes(text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Write indented JSON, keys in the given order; ValueError for NaN and infinities."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path, sha256: str | None = None) -> Any:
    """The file's value; UserError if it is missing, is not JSON, or has another SHA-256."""
    with readable(path):
        return json.loads(read_bytes(path, sha256))


def write_record(path: str | Path, record: dict[str, Any]) -> None:
    """Write JSON that tells whether it was changed: its last entry is the SHA-256 of the others."""
    write_json(path, record | {"checksum": checksum(record)})


def read_record(path: str | Path) -> dict[str, Any]:
    """What `write_record` wrote; UserError if it is missing, or if a digit of it was changed."""
    with readable(path):
        record = read_json(path)
        if not isinstance(record, dict) or record.pop("checksum", None) != checksum(record):
            raise ValueError("its content is not what its checksum says")
    return record


def checksum(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def write_csv(path: str | Path, frame: "pd.DataFrame") -> None:
    """Write the frame without its index."""
    with atomic(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")


def write_rows(path: str | Path, rows: list[dict]) -> None:
    """Write rows with equal keys as a CSV, with empty cells for None and NaN; the same bytes as `write_csv`."""
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows({key: None if value != value else value for key, value in row.items()} for row in rows)


def read_csv(path: str | Path, text: Iterable[str] = (), sha256: str | None = None) -> "pd.DataFrame":
    """A table that `write_csv` wrote; columns in `text` are strings. UserError if it is missing, broken or changed."""
    import pandas as pd

    with readable(path):
        content = io.BytesIO(read_bytes(path, sha256))
        # text: a dataset may be called "nan", and a commit may be all digits
        return pd.read_csv(content, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=[""])


def truths(values: "pd.Series") -> "pd.Series":
    """A column of true and false as bool, without empty cells."""
    return values.dropna().astype(str).str.lower() == "true"


def write_tensors(
    path: str | Path, arrays: Mapping[str, "np.ndarray"], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file; the same arrays and metadata give the same bytes."""
    import numpy as np
    from safetensors.numpy import save

    blob = memoryview(save({name: np.asarray(array, order="C") for name, array in arrays.items()}))
    end = 8 + int.from_bytes(blob[:8], "little")
    header = bytes(blob[8:end])
    if metadata:
        # safetensors writes metadata in an order that differs between processes
        entries = {"__metadata__": dict(sorted(metadata.items()))} | json.loads(header)
        header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
        header += b" " * (-len(header) % 8)  # the format aligns the data to 8 bytes
    with atomic(path) as temporary, open(temporary, "wb") as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        file.write(blob[end:])


def read_tensors(path: str | Path, sha256: str | None = None) -> dict[str, "np.ndarray"]:
    """The arrays of a safetensors file, by name; UserError if it is missing, broken or changed."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    with readable(path):
        try:
            return load(read_bytes(path, sha256))
        except SafetensorError as error:
            raise ValueError(str(error)) from None


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Turn an error while reading a file of this project into a UserError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; run the step that writes it.") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path}: cannot be read ({reason}); delete it and run the step that writes it.") from None


@contextmanager
def writable(path: str | Path) -> Iterator[None]:
    """Turn an error of the disk while writing (full, read-only, no permission) into a UserError that names the path."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path}: cannot be written ({reason}); make space or allow it, and run it again.") from None
