"""Pure decisions: no await, no sleep, no clock of its own, no logging, no user code under a lock."""
