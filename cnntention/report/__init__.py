"""The report: a study's tables and verdicts become figures, a page and a text for forges. Reads files only.

`catalogue`: which figures there are. `reading`: the tables. `wording`: numbers and verdicts as sentences. `sections`:
the page's parts as a tree, which `html` and `markdown` render. `publish`: small results and the README.
"""
