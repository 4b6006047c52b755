"""Errors for users: one sentence, no traceback, exit code 1."""

import re


class UserError(Exception):
    """Bad input: names the file or key, what is wrong, and how to fix it."""


def explained(error: RuntimeError | OSError | ValueError) -> UserError | None:
    """The UserError for one of the disk, or for two of PyTorch's; else None."""
    if isinstance(error, OSError):  # not of a file that is written whole, but of a lock, or of one that is removed
        return UserError(
            f"{error.filename or 'the output'}: {error.strerror or error}; allow the access, or make space."
        )
    if "Expected more than 1 value per channel" in str(error):
        return UserError(
            "the last batch of an epoch has a single image, of which a batch normalization in the attention takes no "
            "statistics; choose another batch_size or train_images."
        )
    if not (match := re.search(r"(\S+) does not have a deterministic implementation", str(error))):
        return None
    return UserError(
        f"PyTorch has no deterministic GPU kernel for {match[1]}, so a run would not give the same bytes again; "
        "use another operation, or say `deterministic = False` in the attention module's class, in your plugin."
    )
