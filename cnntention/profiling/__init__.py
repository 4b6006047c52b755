"""What models cost: counted, timed in turn, memory, energy."""
