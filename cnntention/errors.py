"""The one error a user is meant to read: a sentence, no traceback, exit code 1."""


class UserError(Exception):
    """Bad input: says which file or key, what is wrong with it, and what would do."""
