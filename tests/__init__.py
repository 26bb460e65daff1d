"""Tests of multiraft: one folder per part, and here the house itself (rules, packaging, front door)."""
