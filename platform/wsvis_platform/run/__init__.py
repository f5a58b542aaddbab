"""``wsvis run``: from a folder of videos to masks, tracks and films."""
