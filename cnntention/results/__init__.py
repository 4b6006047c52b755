"""What each step leaves: where it lies, what is in it, in which units. Read and written here alone; knows no torch.

`paths`: the path of each result. `records`: the JSON files of runs and profiles, as typed objects. `tables`: the
study's CSV files, a class a table. `gather`: from the one to the other.
"""
