"""The one error a user is meant to read: a sentence, no traceback, exit code 1."""

import re


class UserError(Exception):
    """Bad input: says which file or key, what is wrong with it, and what would do."""


def explained(error: RuntimeError) -> UserError | None:
    """PyTorch's complaint about an operation without a deterministic kernel as a sentence; None for any other error."""
    if not (found := re.search(r"(\S+) does not have a deterministic implementation", str(error))):
        return None
    return UserError(
        f"PyTorch has no deterministic GPU kernel for {found[1]}, so a run would not give the same bytes again; "
        "use another operation, or say `deterministic = False` in the attention module's class, in your plugin."
    )
