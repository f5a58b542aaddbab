"""Networks that everybody shares: stages, weights, normalisation, feature pyramid."""
