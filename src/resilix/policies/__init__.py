"""One public policy per file: a core bound to ``def`` and to ``async def``."""
