"""CNNtention: do small CNNs get better with attention? A study to rerun, audit and extend."""

__version__ = "0.2.0"
