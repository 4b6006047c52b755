"""Holes in a remote: objects that a lock names and the remote lacks.

DVC takes a folder to be there whole if its list is, so neither `dvc status --cloud` nor `dvc push` sees that one of its
files is missing. These ask for each object.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.transfer import transfer

from cnntention.errors import UserError
from cnntention.versioning.locks import Locked, cached_at

TIMEOUT = 30  # s


@contextmanager
def opened(remote: str | None) -> Iterator[tuple[Repo, Any]]:
    """The project's DVC repository, and the remote's store; UserError for whatever fails in there."""
    try:
        with Repo() as repo:
            store = repo.cloud.get_remote_odb(remote, "verify")
            if store.fs.protocol in ("http", "https"):  # DVC takes a server that is away for one that has nothing
                requests.head(store.path, timeout=TIMEOUT)
            yield repo, store
    except UserError:
        raise
    except DvcException as error:
        raise UserError(f"--remote: {first_line(error)}; `dvc remote list` names those of this project.") from None
    except Exception as error:  # what a file system raises, its library decides
        named = f"remote {remote!r}" if remote else "the default remote"
        raise UserError(
            f"{named} cannot be used ({type(error).__name__}: {first_line(error)}); check its address and your "
            "credentials."
        ) from None


def holes(wanted: list[Locked], remote: str | None) -> list[Locked]:
    """Those of the locked files that the remote (None: the default one) lacks."""
    with opened(remote) as (_, store):
        present = set(store.oids_exist(sorted({one.md5 for one in wanted})))
    return [one for one in wanted if one.md5 not in present]


def fill(missing: list[Locked], remote: str | None) -> None:
    """Send those of them that DVC's cache has."""
    here = [one for one in missing if cached_at(one.md5).exists()]
    with opened(remote) as (repo, store):
        for listings in (False, True):  # lists last: to DVC they say that a folder's files are there
            transfer(repo.cache.local, store, {HashInfo("md5", one.md5) for one in here if one.listing is listings})


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
