"""The benchmark's own logic: parsing, arithmetic and error handling. No test measures speed."""
