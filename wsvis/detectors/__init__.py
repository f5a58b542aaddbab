"""Instance segmentation networks behind one narrow interface, their training and inference."""
