"""What holds for any input and after any sequence of requests; Hypothesis looks for the exception."""
