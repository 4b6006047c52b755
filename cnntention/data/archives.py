"""Fetch a dataset's source files. A file gets its name only after its SHA-256 has been checked."""

import http
import io
import itertools
import os
import queue
import re
import shutil
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlparse
from urllib.request import url2pathname

from cnntention import files
from cnntention.config import Archive
from cnntention.errors import UserError

PAUSES = (1.0, 3.0, 9.0)  # s before the second, third and fourth attempt at a URL
CONNECT, STALL, TOTAL = 10, 30, 7200  # s to connect; s without a byte; s for a file
SLOWEST, LARGEST = 10_000, 1 << 32  # bytes/s on average after the first STALL seconds; bytes of a file
BUSY = {408, 425, 429, 500, 502, 503, 504}  # HTTP status codes worth another attempt


class PlaceFailed(Exception):
    """A source did not provide the right file; the message says why."""


def raw_path(dataset: str, archive: Archive) -> str:
    """Where the workflow keeps the file. Its name contains part of the hash, so another source is another file."""
    return f"data/raw/{dataset}/{archive.sha256[:8]}-{archive.filename}"


def fetch(archive: Archive, target: Path, dataset: str, progress: bool | None = None, field: str | None = None) -> Path:
    """Make sure that `target`, which is `raw_path(dataset, archive)`, contains the archive; return it.

    Sources, in order: `target` itself, a file that the user put into its folder or the folder above under its
    published name, each of `archive.urls`. `progress` shows a bar (None: if stderr is a terminal); `field` is
    the archive's key in the dataset's source, for the message. Raises UserError if no source has the right bytes.
    """
    target = Path(target)
    with files.writable(target):  # errors of a source are PlaceFailed
        if target.is_file():
            if files.sha256(target) == archive.sha256:
                return target
            say(f"{target} does not have the SHA-256 that the configuration gives: it is replaced.")
        if from_hand(archive, target):
            return target
        failures = []
        for place in archive.urls:
            try:
                store(archive, target, lambda path, place=place: get(place, path, progress))
            except PlaceFailed as failure:
                failures.append(f"{bare(place)}: {failure}")
                say(f"{archive.filename} could not be had from {failures[-1]}")
            else:
                return target
    raise UserError(
        f"{dataset}: no place gave the right {archive.filename} ({'; '.join(failures)}); put "
        f"{archive.filename} (SHA-256 {short(archive.sha256)}) at {target.parent / archive.filename}, "
        f"or name another place under datasets.{dataset}.source.{field or '<its field>'}.urls."
    )


def from_hand(archive: Archive, target: Path) -> bool:
    """Use a file that the user put at data/raw/[<dataset>/]<filename>, if its hash is right."""
    for place in (target.parent.parent / archive.filename, target.parent / archive.filename):
        if not place.is_file():
            continue
        try:
            store(archive, target, lambda path, place=place: copy(place, path))
        except PlaceFailed as failure:
            say(f"{place} is not used: {failure}.")
        else:
            say(f"{target.name} is taken from {place}.")
            return True
    return False


def store(archive: Archive, target: Path, get_it: Callable[[Path], None]) -> None:
    """`get_it` writes a temporary file, which becomes `target` if its hash is right; else raise PlaceFailed."""
    with files.atomic(target) as temporary:
        get_it(temporary)
        actual = files.sha256(temporary)
        if actual != archive.sha256:
            raise PlaceFailed(
                f"wrong bytes: expected SHA-256 {short(archive.sha256)}, "
                f"got {short(actual)} ({temporary.stat().st_size:,} bytes)"
            )


def get(place: str, path: Path, progress: bool | None) -> None:
    """Copy a URL, or a local file (anything without "://"), to `path`."""
    if "://" not in place:
        return copy(Path(os.path.expanduser(place)), path)
    url = urlparse(place)
    if url.scheme == "file":
        return copy(Path(url2pathname(url.path)), path)
    if url.scheme not in ("http", "https"):
        raise PlaceFailed(f"{url.scheme}:// is not known; use http, https, file or the path of a local file")
    return download(place, path, sys.stderr.isatty() if progress is None else progress)


def copy(source: Path, path: Path) -> None:
    try:
        if not stat.S_ISREG(source.stat().st_mode):  # opening a pipe would wait, and /dev/zero never ends
            raise PlaceFailed("is not a regular file")
        file = source.open("rb")
    except (OSError, ValueError) as error:
        raise PlaceFailed(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    with file, open(path, "wb") as out:
        shutil.copyfileobj(file, out, 1 << 20)


def download(url: str, path: Path, bar: bool) -> None:
    """Download `url` to `path`, with a retry after each of PAUSES if the error may be temporary. Raises PlaceFailed."""
    from requests import RequestException

    name = Path(urlparse(url).path).name
    if not bar:
        say(f"downloading {bare(url)}")
    for pause in (*PAUSES, None):
        try:
            transfer(url, path, name, bar)
        except (RequestException, ValueError) as error:  # ValueError: urllib3's about a URL
            reason, may_pass = explain(error)
            if pause is None or not may_pass:
                raise PlaceFailed(reason) from None
            say(f"{bare(url)}: {reason}; trying again in {pause:g} s")
            time.sleep(pause)
        else:
            break
    if not bar:
        say(f"downloaded {name}, {path.stat().st_size:,} bytes")


def transfer(url: str, path: Path, name: str, bar: bool) -> None:
    """One attempt to download; PlaceFailed after TOTAL seconds, or if it is slower than SLOWEST.

    In a thread, since requests limits only the time between two bytes: a server could send one a minute for ever.
    """
    ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            receive(url, out, name, bar)
        except Exception as error:
            ended.put(error)
        else:
            ended.put(None)

    with open(path, "wb") as out:  # when it is closed, an abandoned thread ends at its next write
        threading.Thread(target=work, daemon=True).start()
        start, error = time.monotonic(), None
        while True:
            try:
                error = ended.get(timeout=0.2)
                break
            except queue.Empty:
                seconds, received = time.monotonic() - start, out.tell()
                if seconds > min(TOTAL, STALL + received / SLOWEST):
                    raise PlaceFailed(f"too slow: {received:,} bytes in {seconds:.0f} s") from None
    if error:
        raise error


def receive(url: str, out: BinaryIO, name: str, bar: bool) -> None:
    """Write what the server sends to `out`; PlaceFailed if that is more than LARGEST."""
    import requests
    from tqdm import tqdm

    # no transfer encoding: the file is a .gz already, and requests would unpack it
    options = {"headers": {"Accept-Encoding": "identity"}, "hooks": {"response": without_body}}
    with requests.get(url, stream=True, timeout=(CONNECT, STALL), **options) as response:
        response.raise_for_status()
        said = response.headers.get("Content-Length", "")
        size = int(said) if re.fullmatch("[0-9]{1,20}", said) else None
        with tqdm(desc=name, total=size, unit="B", unit_scale=True, disable=not bar) as shown:
            for chunk in itertools.chain([b""], response.iter_content(1 << 16)):
                if max(size or 0, out.tell() + len(chunk)) > LARGEST:
                    raise PlaceFailed(f"it sends more than {LARGEST:,} bytes")
                out.write(chunk)
                shown.update(len(chunk))


def without_body(response: Any, **_: Any) -> None:
    """Drop the body of a redirect: requests reads it whole, however long it is."""
    if response.is_redirect:
        response.raw.close()
        response.raw = io.BytesIO()


def explain(error: Exception) -> tuple[str, bool]:
    """Why a request failed, in a few words without the URL, and whether another attempt may succeed."""
    import requests

    if isinstance(error, requests.HTTPError):
        status = error.response.status_code
        words = {s.value: s.phrase for s in http.HTTPStatus}.get(status, "")
        return f"HTTP {status} {words}".strip(), status in BUSY
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate was not accepted", False
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "no answer in time", False  # it took long enough
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off", True
    if isinstance(error, requests.ConnectionError):
        # requests wraps the system's message in three layers
        system = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
        return f"cannot connect ({system[1] if system else 'no connection'})", True
    return f"the URL or the answer is malformed: {type(error).__name__}", False


def bare(url: str) -> str:
    """A URL without user, password, query and fragment, which may be secrets; a path of a local file as it is."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    host = re.split("[/?#]", rest)[0]
    if re.fullmatch(r"(\[[^]]*\]|[^:]*)(:\d*)?", host.rpartition("@")[2]):
        rest = rest[host.rfind("@") + 1 :]
    else:  # malformed, such as a password with a slash
        rest = rest.rpartition("@")[2]
    return scheme + mark + re.split("[?#]", rest)[0]


def public(dump: Any) -> Any:
    """The dump of a configuration, or of a part, with its `urls` as they may be published."""
    if isinstance(dump, dict):
        return {
            key: [bare(url) for url in value] if key == "urls" and isinstance(value, list | tuple) else public(value)
            for key, value in dump.items()
        }
    return [public(value) for value in dump] if isinstance(dump, list) else dump


def short(sha256: str) -> str:
    return f"{sha256[:8]}…"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
