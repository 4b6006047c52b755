"""Claims tested on a study's tables, as one flat table: a row a test. Reads nothing but the tables and seals/.

`questions`: what is compared. `measures`: effect, interval and p of each. `verdicts`: what a row says. `judge`: all
together, with one adjustment a family.
"""
