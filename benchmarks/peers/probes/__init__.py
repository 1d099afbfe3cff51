"""Small experiments that show a shortcoming, or do not. Each takes a peer and gives the evidence, or ``None``.

They wait for real, a few hundredths of a second each. ``shortcomings`` says which of them is claimed of whom; the same
experiment is made with resilix, and the report says what came out there.
"""
