"""Where events go: sinks for what operators already have. Nothing here is imported before you import it.

Example::

    from resilix.telemetry.logs import log_events

    log_events()
"""
