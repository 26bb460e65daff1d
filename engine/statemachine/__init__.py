"""engine/statemachine."""
