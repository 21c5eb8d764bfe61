"""Many runs from one file: the design, the plan, the runs, and what came out."""
