"""How gateway and Django trust each other: signatures, and the digests that name sessions."""
