"""Stored results: keys, quarantine, workers that compute what is missing."""
