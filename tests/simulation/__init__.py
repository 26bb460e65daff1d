"""Whole clusters from one seed: the real nodes, a world of faults around them, and what must hold."""
