"""Designs that came after the paper, and the baselines that they are compared with."""
