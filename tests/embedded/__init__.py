"""The embedded stack: servers, supervision, run.json, the data-platform sink."""
