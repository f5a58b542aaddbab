"""Ray: starting, joining, watching, and what a machine has."""
