"""Class activation maps: classifier, CAM and flow-amplified CAM (Eq. 2)."""
