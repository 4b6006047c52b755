"""Checks that anyone can repeat: every recorded hash, and a sample of runs trained again."""
