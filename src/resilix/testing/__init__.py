"""Tools for testing code that is guarded by policies: time that costs nothing.

Example::

    from resilix.testing import virtual_time

    def test_gives_up_after_three_attempts():
        with virtual_time() as time:
            with pytest.raises(ConnectionError):
                price("ACME")          # retry(on=ConnectionError, attempts=3, wait=1.0)
            assert time.sleeps == [1.0, 1.0]
            assert time.now() == 2.0
"""

from resilix.testing.virtual import VirtualTime, virtual_time

__all__ = ["VirtualTime", "virtual_time"]
