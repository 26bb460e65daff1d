"""engine/logstore."""
