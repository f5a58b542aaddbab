"""What each ``wsvis`` command does, one file each."""
