"""The checkers of a simulated run, one file each. `suite.Suite` makes and feeds all of them."""
