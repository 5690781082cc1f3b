"""The serving peer: admit, generate, log, sign, anchor, advertise."""
