"""Tests of looking at a stopped node's files."""
