"""`cnntention status`: how far a study is, read from its files, while it runs or after. Writes nothing.

runs reads the state of each run and what failed; speed says how long runs take; timing measures that before the start
(only it imports torch); command prints.
"""
