"""The simulator against reality: the same cases simulated, and lived through over sockets, and their figures beside."""
