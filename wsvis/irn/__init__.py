"""IRN and flowIRN: inter-pixel relations and the instance pseudo-labels made from them."""
