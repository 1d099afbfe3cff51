"""What a call under resilix costs, as ratios to a decorator that does nothing. Run ``python -m benchmarks --help``."""
