"""resilix beside its peers: the same job for everyone, interleaved in one process; see README.md here."""
