"""The witness: repeats a recorded run on a real chain. It reads a run directory and nothing else of the house."""
