"""The benchmark's own logic: what it reads, reckons and refuses. How quick anything is, no test asks."""
