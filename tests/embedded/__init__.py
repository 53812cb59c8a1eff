"""The embedded start: servers, supervision, run.json, the data-platform sink."""
