"""tally-tiny: a small model trained on two cores, so that a development network has a real model."""
