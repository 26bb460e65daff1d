"""Tests of the state machines and their stores."""
