"""The mutants of `make mutants` that change nothing, each with the reason."""

EQUIVALENT = {
    (
        "balances.rules.Account.adjust",
        "if amount > 0:",
        "if amount >= 0:",
    ): "No adjustment is of zero won: the API and the form take amounts from one won up.",
    (
        "balances.rules.entry_hash",
        'return hashlib.sha256(previous + text.encode("ascii")).digest()',
        'return hashlib.sha256(previous + text.encode("ASCII")).digest()',
    ): "Names of encodings are the same in capitals.",
    (
        "products.rules.StockedProduct.adjust",
        "if delta < 0:",
        "if delta <= 0:",
    ): "No correction is of zero units: the form refuses it.",
    (
        "products.rules.StockedProduct.adjust",
        "if delta < 0:",
        "if delta < 1:",
    ): "The same: units are whole numbers.",
    (
        "reservations.rules.ReservationState.expire",
        "return self.status_at(now) == EXPIRED and self._free(EXPIRED, now)",
        "return self.status_at(now) == EXPIRED and self._free(None, now)",
    ): "`_free` writes EXPIRED from `expires_at` on, whatever the given status is, and `expire` calls it only then.",
}
"""The function, its line, the changed line, and the reason why the change has no effect."""
