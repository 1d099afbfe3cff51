"""The shared source of the two doors ``resilix.httpx`` and ``resilix.httpx2``: it imports neither library."""
