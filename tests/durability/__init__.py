"""Proof that nothing acknowledged is lost: crashes of the machine, kills, flipped bits."""
