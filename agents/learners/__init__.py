"""How rational devices choose among their strategies; one idea per file."""
