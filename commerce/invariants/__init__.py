"""What must hold in the shop's books at every moment. Owns the questions; never repairs anything."""
