"""`eegctl doctor`: what stands between this computer, its board and a recording without loss, and what mends it."""
