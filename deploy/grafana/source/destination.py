"""One endpoint: how far behind it is, and what holds it up."""

from dashboard import DEPLOYMENT, Dashboard, Panel, Row, Variable
from queries import labels

UID = "sluicegate-destination"
ENDPOINT = Variable(
    "endpoint",
    "Endpoint",
    "Those that a dispatcher counts among its worst, those that `metrics.pinned_endpoints` names, and `other`: the sum of the rest.",
    "sluicegate_endpoint_backlog_deliveries",
    every=False,
)


def greatest(metric):
    return f"max (sluicegate_endpoint_{metric}{{$here}})"


def total(metric, where=""):
    return f"sum (sluicegate_endpoint_{metric}{{{labels(where)}}})"


NOW = Row(
    "Now",
    [
        Panel(
            "Oldest due",
            "s",
            "How long its oldest delivery has been due and was not started. Good: below a second.",
            {"age": greatest("oldest_due_age_seconds")},
            "stat", 6, 4, bounds=(60, 300),
        ),
        Panel(
            "Waiting",
            "short",
            "Deliveries that wait, due or not. Good: next to nothing, or falling.",
            {"waiting": total("backlog_deliveries")},
            "stat", 6, 4,
        ),
        Panel(
            "Delivered",
            "reqps",
            "Attempts that delivered. Good: what is published for it.",
            {"delivered": total("attempts_per_second", 'class="delivered"')},
            "stat", 6, 4,
        ),
        Panel(
            "Attempts that fail",
            "percentunit",
            "Share of its attempts that did not deliver. Good: 0. Nothing is shown while no attempt is made.",
            {
                "failing": f"""{total("attempts_per_second", 'class!="delivered"')} / ({total("attempts_per_second")} > 0)""",
            },
            "stat", 6, 4, bounds=(0.01, 0.5),
        ),
    ],
)

BACKLOG = Row(
    "Backlog",
    [
        Panel(
            "Age of the oldest due delivery",
            "s",
            "Good: below a second. If it climbs by a second each second, nothing is sent: see the state. If it climbs slower, "
            "more comes than the receiver or its limits take.",
            {"age": greatest("oldest_due_age_seconds")},
        ),
        Panel(
            "Deliveries that wait",
            "short",
            "Due or not: after a failure a retry may be due hours later. Good: flat and small.",
            {"waiting": total("backlog_deliveries")},
        ),
        Panel(
            "Time to drain",
            "s",
            "What waits, at the rate of what is delivered now. Good: seconds. Nothing is shown while nothing is delivered.",
            {"to drain": f"""{total("backlog_deliveries")} / ({total("attempts_per_second", 'class="delivered"')} > 0)"""},
        ),
    ],
)

ATTEMPTS = Row(
    "Attempts",
    [
        Panel(
            "Attempts by how they end",
            "reqps",
            "`refused`: 3xx and 4xx, its owner's fault or ours. `busy`: it asked for time. `down`: 5xx, timeout, no connection. "
            "`unknown`: never sent. Good: all `delivered`.",
            {"{{class}}": "sum by (class) (sluicegate_endpoint_attempts_per_second{$here})"},
            stacked=True,
            width=12,
        ),
        Panel(
            "In flight",
            "short",
            "Attempts prepared or under way. Good: far below its window. At its window all the time, the receiver is slow: it "
            "gets no more at once until it answers sooner.",
            {"in flight": total("attempts_in_flight")},
            width=12,
        ),
        Panel(
            "State",
            "none",
            "1 for the state that it is in. Good: `serving`. `throttled`: its limits. `deferred`: it asked for a pause. `open`, "
            "`half_open`: its breaker. `closed`: paused or disabled.",
            {"{{state}}": "max by (state) (sluicegate_endpoint_state{$here})"},
            width=12,
        ),
        Panel(
            "Wait for its limits",
            "s",
            "How long its rate limits still hold up the next attempt. Good: 0, or steady at what its limits ask for while it has "
            "a backlog.",
            {"wait": greatest("limiter_wait_seconds")},
            width=12,
        ),
    ],
)

DASHBOARD = Dashboard(
    UID,
    "Sluicegate / Destination",
    "One endpoint: how far behind it is, and what holds it up. Endpoints that are not among the worst: pin them with "
    "`metrics.pinned_endpoints`, or ask `GET /destinations` on the admin address of each dispatcher.",
    [DEPLOYMENT, ENDPOINT],
    [NOW, BACKLOG, ATTEMPTS],
    'deployment=~"$deployment", endpoint="$endpoint"',
)
