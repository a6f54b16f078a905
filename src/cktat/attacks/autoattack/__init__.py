"""AutoAttack: its searches, and the suite that runs them one after the other."""
