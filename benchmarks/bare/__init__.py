"""The limit of the reads: Django views without middleware, behind the same web server as the shop."""
