"""A study that tests one attention module, derived from nothing but the module, and the command that runs it.

`source`: what the user names, as a plugin. `widths`: wider networks that cost the same. `study`: the configuration.
`command`: the folder, and the call of Snakemake.
"""
