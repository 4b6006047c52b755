"""CNNtention: do small CNNs get better with attention? A study to rerun, audit and extend."""

__version__ = "0.2.0"


def __getattr__(name: str):
    """`load_run`, imported when it is asked for: most commands need no torch."""
    if name != "load_run":
        raise AttributeError(f"module 'cnntention' has no attribute {name!r}")
    from cnntention.prediction.run import load_run

    return load_run
