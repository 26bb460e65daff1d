"""engine/transport."""
