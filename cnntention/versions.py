"""One number a step: raised when the step's results change on purpose.

Each number is part of the key of everything the step writes, so raising it makes exactly that step and what
follows it run again, and nothing else does: an edit of the code that leaves the numbers alone reruns nothing.
A golden test (`tests/test_golden.py`) fails when a step's numbers change and its constant does not.
"""

PREPARATION = 2
TRAINING = 4
EVALUATION = 3
DIAGNOSIS = 2
EXPLANATION = 4
PROFILING = 5
SUMMARY = 8
JUDGEMENT = 9
REPORT = 12
