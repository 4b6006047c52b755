"""The part of the verify subcommand about a remote."""

from collections import Counter

from cnntention.errors import UserError
from cnntention.versioning.locks import locked
from cnntention.versioning.remote import fill, holes


def verify_remote(remote: str | None, repair: bool) -> None:
    """Ask the remote for each object that the locks name, send what it lacks if asked to, and print what is missing.

    UserError if something is missing at the end, or if the remote cannot be asked.
    """
    wanted = list({one.md5: one for one in locked() if one.cached}.values())
    missing = holes(wanted, remote)
    if repair and missing:
        fill(missing, remote)
        before, missing = len(missing), holes(missing, remote)
        print(f"{before - len(missing):,} of {before:,} missing objects sent")
    for folder, count in Counter(str(one.lock) + ": " + one.out for one in missing).items():
        print(f"absent  {count:,} objects of {folder}")
    name = f"remote {remote}" if remote else "the default remote"
    if missing:
        raise UserError(
            f"{name} lacks {len(missing):,} of the {len(wanted):,} objects that the locks name; where they are, call "
            "`cnntention verify --repair`."
        )
    print(f"{name} has all {len(wanted):,} objects that the locks name.")
