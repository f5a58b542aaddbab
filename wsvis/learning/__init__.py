"""What every training shares: schedule, length, state, workers."""
