"""What is true of one paper only: its tables and claims, its theory with experiments, knowledge points, the demonstration."""
