"""Learning systems: what they train on, and each in a folder of its own."""
