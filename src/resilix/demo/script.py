"""What happens to the server, and when."""

from __future__ import annotations

from dataclasses import dataclass

from resilix.demo.settings import Settings


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the server's life.

    Attributes:
        name: What it is called everywhere.
        start: Seconds after the start of the run.
        end: Seconds after the start of the run.
        errors: Share of the calls answered 503.
        fastest: Seconds of work for the quickest call.
        slowest: Seconds of work for the slowest call.
        down: Nothing works: what is not answered 503 at the door hangs until the phase is over.
    """

    name: str
    start: float
    end: float
    errors: float
    fastest: float
    slowest: float
    down: bool = False

    @property
    def length(self) -> float:
        """Seconds it lasts."""
        return self.end - self.start

    def describe(self) -> str:
        """Say in a few words what callers meet."""
        if self.down:
            return f"{self.errors:.0%} of calls get a 503, the others hang"
        return f"answers take {self.fastest * 1e3:.0f} to {self.slowest * 1e3:.0f} ms, {self.errors:.0%} are 503"


HEALTHY, OUTAGE, BROWN_OUT, AGAIN = "healthy", "outage", "brown-out", "healthy again"


def script_for(settings: Settings) -> tuple[Phase, ...]:
    """The server's life for a run of this length: healthy, down, sick, healthy."""
    outage, brown_out, again, end = (share * settings.seconds for share in (0.2, 0.5, 0.7, 1.0))
    pace = settings.pace
    return (
        Phase(HEALTHY, 0.0, outage, errors=0.02, fastest=0.015, slowest=0.040),
        Phase(OUTAGE, outage, brown_out, errors=0.5, fastest=0.0, slowest=0.0, down=True),
        Phase(BROWN_OUT, brown_out, again, errors=0.3, fastest=0.15 * pace, slowest=0.55 * pace),
        Phase(AGAIN, again, end, errors=0.02, fastest=0.015, slowest=0.040),
    )


def phase_at(script: tuple[Phase, ...], at: float) -> Phase:
    """The phase at a moment; before the start the first one, after the end the last one."""
    for phase in script:
        if at < phase.end:
            return phase
    return script[-1]


def phase_named(script: tuple[Phase, ...], name: str) -> Phase:
    """The phase of that name."""
    return next(phase for phase in script if phase.name == name)
