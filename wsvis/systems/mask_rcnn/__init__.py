"""Mask R-CNN (He et al. 2017), by torchvision or detectron2."""
