"""Whether the shop's books add up at this moment, asked with the invariants that operators ask.

Never repairs anything.
"""

from commerce.invariants.check import altered_ledgers, invariants, snapshot, violation_of


def broken_rules() -> set[str]:
    """The names of the invariants that do not hold, the ledger's chain of hashes among them."""
    with snapshot():
        violations = [*(violation_of(invariant) for invariant in invariants(quiet_system=False)), altered_ledgers()]
    return {violation.invariant.name for violation in violations if violation}
