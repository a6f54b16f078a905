"""How fast: steps and attacks against a plain step and the machine's ceiling."""
