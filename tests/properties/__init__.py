"""Properties that hold for any input and any sequence of requests; Hypothesis searches for counterexamples."""
