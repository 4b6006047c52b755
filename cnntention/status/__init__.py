"""`cnntention status`: how far a study is, read from its files alone, while it runs or after. Writes nothing.

The modules go from parts to whole: places and logs (the files); runs (the state of each), findings (what they found);
cost, speed and timing (how fast they train); outlook (time left), estimate (before the start); terminal, show, command.
Only timing imports torch.
"""
