"""The plugins that come with eegd, one file each; installed as the package `eegd_plugins`."""
