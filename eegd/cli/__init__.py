"""The commands `eegd` and `eegctl`."""
