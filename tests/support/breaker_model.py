"""A circuit breaker told in plain lists: every outcome is kept, every rate counted anew. Only for comparing."""

from __future__ import annotations

import math
from typing import Any


class ModelCall:
    """One call in flight: the era it belongs to, and when its lease ends if it is a probe."""

    def __init__(self, era: int, started: float, lease: float) -> None:
        self.era, self.started, self.lease = era, started, lease
        self.done = False


class Model:
    """``seconds`` or ``last`` say what kind of window it is. Rules that are off are ``None``."""

    def __init__(self, now: float, **options: Any) -> None:
        self.__dict__.update(options)
        self.mode, self.opening, self.rejected, self.era = "normal", 0, 0, 0
        self.events: list[tuple[Any, ...]] = []
        self.state = ""
        self.enter("closed", now, "new")
        self.events.clear()

    # -- eras

    def enter(
        self, state: str, now: float, reason: str, *, told: str = "", before: str = "normal", length: float = math.inf
    ) -> None:
        if state != "open":
            self.frozen = None
        elif self.state != "open":
            self.frozen = self.figures(now)
        if (self.state, before) != (state, self.mode):
            self.events.append(("transition", self.state, state, self.mode, told or reason))
        self.length = getattr(self, "length", 0.0) if state == "half_open" else length
        self.state, self.since, self.reason = state, now, reason
        self.until = now + length
        self.era += 1
        self.log: list[tuple[float, bool, bool]] = []
        self.streak = self.ignored = 0
        self.said = False
        self.probes: list[ModelCall] = []
        self.good = self.bad = 0

    def trip(self, at: float, reason: str) -> None:
        self.opening += 1
        self.enter("open", at, reason, before=self.mode, length=self.open_for(self.opening))

    def control(self, mode: str, now: float, reason: str, for_: float | None = None) -> None:
        before, self.mode = self.mode, mode
        if reason == "forced open":
            self.enter("open", now, reason, before=before)
        elif for_ is not None:
            self.enter("open", now, reason, before=before, length=for_)
        else:
            self.opening = 0
            self.enter("closed", now, reason, before=before)

    # -- counting

    def kept(self, now: float) -> list[tuple[float, bool, bool]]:
        if self.last is not None:
            return self.log[-self.last :]
        step = self.seconds / 20
        return [one for one in self.log if math.floor(one[0] / step) > math.floor(now / step) - 20]

    def figures(self, now: float) -> tuple[Any, ...]:
        kept = self.kept(now)
        calls, failures, slow = len(kept), sum(one[1] for one in kept), sum(one[2] for one in kept)
        judged = calls >= self.min_calls
        rates = (failures / calls, slow / calls if self.slow_after else None) if judged else (None, None)
        return (calls, failures, slow, self.ignored, self.streak, *rates)

    def tripped(self, now: float) -> str | None:
        *_, failure_rate, slow_rate = self.figures(now)
        if self.consecutive is not None and self.streak >= self.consecutive:
            return "consecutive failures"
        if None not in (failure_rate, self.failure_rate) and failure_rate >= self.failure_rate:
            return "failure rate"
        if None not in (slow_rate, self.slow_rate) and slow_rate >= self.slow_rate:
            return "slow rate"
        return None

    def reconfigure(self, now: float, **changes: Any) -> None:
        if "seconds" in changes:  # the new grid places what an old step held at the beginning of that step
            step = self.seconds / 20
            self.log = [(math.floor(t / step) * step, *rest) for t, *rest in self.kept(now)]
        if "last" in changes:
            self.log = self.kept(now)
        self.__dict__.update(changes)
        if self.state == "half_open":
            self.decide(now, "probe failed")

    # -- calls

    def expire(self, now: float) -> None:
        for probe in sorted(self.probes, key=lambda one: one.lease):
            if self.state == "half_open" and probe.lease <= now:
                self.probes.remove(probe)
                self.bad += 1
                self.decide(probe.lease, "probe lease expired")

    def decide(self, at: float, failed: str) -> None:
        if self.bad > self.probe_failures:
            self.trip(at, failed)
        elif self.good + self.bad >= self.probes_wanted:
            self.opening = 0
            self.enter("closed", at, "probes succeeded", before=self.mode)

    def admit(self, now: float) -> ModelCall | None:
        if self.state == "half_open":
            self.expire(now)
        if self.state == "open" and now >= self.until:
            self.enter("half_open", now, self.reason, told="open time over", before=self.mode)
        if self.state == "closed":
            return ModelCall(self.era, now, math.inf)
        if self.state == "half_open" and len(self.probes) + self.good + self.bad < self.probes_wanted:
            call = ModelCall(self.era, now, now + self.lease)
            self.probes.append(call)
            return call
        self.rejected += 1
        self.events.append(("refused", self.retry_after(now)))
        return None

    def settle(self, call: ModelCall, verdict: str, now: float) -> None:
        if call.done or call.era != self.era or self.mode == "disabled":
            call.done = True
            return
        call.done = True
        failed, slow = verdict == "failure", bool(self.slow_after) and now - call.started > self.slow_after
        if self.state == "half_open":
            self.expire(now)
            if call not in self.probes:
                return
            self.probes.remove(call)
            if verdict == "ignored":
                self.ignored += 1
                return
            bad = failed or (slow and self.slow_rate is not None)
            self.bad, self.good = self.bad + bad, self.good + (not bad)
            self.decide(now, "probe failed")
        elif verdict == "ignored":
            self.ignored += 1
        else:
            self.log.append((now, failed, slow))
            self.streak = self.streak + 1 if failed else 0
            reason = self.tripped(now)
            if self.mode == "observing":
                if reason and not self.said:
                    self.events.append(("observed", reason))
                self.said = bool(reason)
            elif reason:
                self.trip(now, reason)

    def retry_after(self, now: float) -> float | None:
        if self.state == "closed" or self.mode == "forced_open":
            return None
        if self.state == "open":
            return max(0.0, self.until - now)
        if len(self.probes) + self.good + self.bad < self.probes_wanted:
            return 0.0
        lease = min(probe.lease for probe in self.probes)
        return max(0.0, lease + self.length - now) if lease <= now else min(lease - now, self.length)
