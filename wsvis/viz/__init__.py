"""Pictures: overlays, flow wheels, CAM strips, track videos."""
