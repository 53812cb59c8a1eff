"""Checks the invariants of the shop's data, as `manage.py check_invariants` does."""

from commerce.invariants.check import altered_ledgers, invariants, snapshot, violation_of


def broken_rules() -> set[str]:
    """The names of the violated invariants, including the hash chain of the ledger."""
    with snapshot():
        violations = [*(violation_of(invariant) for invariant in invariants(quiet_system=False)), altered_ledgers()]
    return {violation.invariant.name for violation in violations if violation}
