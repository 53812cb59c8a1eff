"""The rules of each app by example, without a server: exact values, bounds, and what a refusal leaves unchanged."""
