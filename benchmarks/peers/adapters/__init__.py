"""One module a peer: how its parts are set to the jobs. Each has a list, ``PEERS``."""
