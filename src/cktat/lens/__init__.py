"""What labels teach: how right they are, how hard to learn, and whether the two say how robust a student becomes."""
