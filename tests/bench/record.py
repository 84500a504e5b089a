"""record: what the record of a run costs of the processor, by the run's own processes and not the guest's. Used by
start.py.

A warm `run -- true` with its record and one with --no-record, by turns; a library in them (tests/e2e/cost.c)
tells what launcher, keeper and relay had of the processor in all their life.
"""
import subprocess

import report
from cold import LAZARET
from e2e import environment
from preload import Preload

PLACES = {"launcher": 1, "keeper": 2, "relay": 3}  # in the library's file
TURNS = 4  # in a round: what takes a few milliseconds varies more than what takes a second


def _take(cost, options):
    """Seconds of each."""
    cost.clear()
    subprocess.run([LAZARET, "run", "--accel", "tcg", *options, "--", "true"], env=environment(**cost.env()),
                   check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return {who: cost.get(place) / 1e6 for who, place in PLACES.items()}


def measure(folder, rounds):
    """Pairs of what such runs took: with the record, without it."""
    cost, pairs = Preload(folder, "cost"), ([], [])
    _take(cost, ())  # the saved guest
    for turn in range(rounds * TURNS):
        for with_it in (True, False) if turn % 2 else (False, True):
            pairs[not with_it].append(_take(cost, () if with_it else ("--no-record",)))
    return pairs


def sums(pairs, *who):
    return [[sum(took[w] for w in who) for took in way] for way in pairs]


def target(pairs):
    return report.target("CPU time of keeper and relay of a warm run, with its record / without",
                         *sums(pairs, "keeper", "relay"), at_most=1.05)


def table(pairs):
    rows = [(name, *sums(pairs, *who)) for name, who in
            (("keeper and relay", ("keeper", "relay")), ("launcher", ("launcher",)))]
    return report.table(["CPU time of a warm run, ms", "with its record", "without"],
                        [[name, *(report.cell(report.spread(way)) for way in ways)] for name, *ways in rows])
