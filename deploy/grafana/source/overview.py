"""Is everything well, and if not, who is behind? The golden signals, the backlog, the worst destinations."""

from dashboard import DEPLOYMENT, Dashboard, Panel, Row
from destination import UID as DESTINATION
from queries import quantile, rate

UID = "sluicegate-overview"
# Reasons to refuse a message that are no fault of the producer.
OURS = "internal|outcome_unknown|overloaded|secret_unreadable|store_full|store_unavailable"


def quantiles(histogram):
    return {f"p{share * 100:g}": quantile(share, histogram) for share in (0.5, 0.9, 0.99)}


NOW = Row(
    "Now",
    [
        Panel(
            "Alerts firing",
            "none",
            "Alerts of Sluicegate that fire; each links to its runbook. Good: 0.",
            {"alerts": 'count(ALERTS{alertname=~"Sluicegate.*", alertstate="firing", $here}) or vector(0)'},
            "stat", 4, 4, bounds=(1,),
        ),
        Panel(
            "Accepted",
            "reqps",
            "Messages answered with 202. Good: what your producers usually send; a sudden fall is theirs or the API's fault.",
            {"accepted": rate("sluicegate_gateway_messages_accepted_total")},
            "stat", 4, 4,
        ),
        Panel(
            "Delivered",
            "reqps",
            "Deliveries that arrived. Good: follows what was published, however many endpoints that goes to.",
            {"delivered": rate("sluicegate_dispatcher_attempts_total", where='outcome="delivered"')},
            "stat", 4, 4,
        ),
        Panel(
            "Attempts that fail, 1 h",
            "percentunit",
            "Share of attempts that failed within the last hour, without those where the receiver asked for time. "
            "Good: below 1 %, the objective; at 14.4 % the month's budget is gone within two days.",
            {"failed": "max (deployment:sluicegate_attempts_failed:ratio_rate1h{$here})"},
            "stat", 4, 4, bounds=(0.01, 0.144),
        ),
        Panel(
            "Oldest due",
            "s",
            "How long the delivery that waits longest has been due, by tier. Good: below a second; minutes only while a "
            "receiver is down, and then the table below names it.",
            {"{{tier}}": "max by (tier) (sluicegate_dispatcher_oldest_due_age_seconds{$here})"},
            "stat", 4, 4, bounds=(60, 300),
        ),
        Panel(
            "Lanes without owner",
            "none",
            "Lanes that no dispatcher serves: what is in them waits. Good: 0, but for some seconds after a dispatcher was lost.",
            {"unowned": "max (deployment:sluicegate_lanes_unowned:count{$here})"},
            "stat", 4, 4, bounds=(1,),
        ),
    ],
)

SIGNALS = Row(
    "Golden signals",
    [
        Panel(
            "Traffic",
            "reqps",
            "Messages accepted, deliveries they fanned out to, deliveries that arrived. Good: the last two lie upon each other; "
            "published above delivered is a backlog that grows.",
            {
                "accepted": rate("sluicegate_gateway_messages_accepted_total"),
                "published": rate("sluicegate_gateway_deliveries_published_total"),
                "delivered": rate("sluicegate_dispatcher_attempts_total", where='outcome="delivered"'),
            },
        ),
        Panel(
            "Attempts by outcome",
            "reqps",
            "Attempts that ended. Good: nearly all `delivered`. One endpoint that is down shows only as its breaker's probes.",
            {"{{outcome}}": rate("sluicegate_dispatcher_attempts_total", "outcome") + " > 0"},
            stacked=True,
        ),
        Panel(
            "Messages refused",
            "reqps",
            "Messages that were not accepted: through a fault of ours, by the code that the producer got, and all that were "
            "answered 4xx, for which Runtime, *Errors by code* says more. Good: nothing but some 4xx.",
            {
                "{{reason}}": rate("sluicegate_gateway_messages_refused_total", "reason", f'reason=~"{OURS}"'),
                "{{status}}": rate(
                    "sluicegate_gateway_request_duration_seconds_count",
                    "status",
                    'method="POST", route=~".*/msg(/batch)?", status="4xx"',
                ),
            },
            stacked=True,
        ),
        Panel(
            "End-to-end latency",
            "s",
            "From the acceptance of a message to the end of the attempt that delivered it, retries included. Good: close to what "
            "receivers take; p99 shows endpoints that are retried.",
            quantiles("sluicegate_dispatcher_delivery_seconds"),
        ),
        Panel(
            "Queueing delay",
            "s",
            "From when a delivery was due to the start of its attempt: what Sluicegate, limits and windows add. Good: p50 of "
            "milliseconds; p99 rises with endpoints that are limited or slow.",
            quantiles("sluicegate_dispatcher_queueing_seconds"),
        ),
        Panel(
            "Latency of acceptance",
            "s",
            "How long a message's request takes to be stored and answered. Good: p99 of some milliseconds; the store's fsync is "
            "most of it.",
            quantiles("sluicegate_gateway_publish_duration_seconds"),
        ),
        Panel(
            "Saturation",
            "percentunit",
            "How full the scarcest things are: rights to hold a delivery, room for bodies, memory of Redis. Good: below 80 %. "
            "Redis without maxmemory is not shown.",
            {
                "credits held": 'sum (sluicegate_dispatcher_credits{$here, state="held"}) / sum (sluicegate_dispatcher_credits{$here})',
                "bodies held": 'sum (sluicegate_dispatcher_body_bytes{$here, state="held"}) / sum (sluicegate_dispatcher_body_bytes{$here})',
                "memory of Redis": "max (deployment:sluicegate_redis_memory:ratio{$here})",
            },
            bounds=(0.8, 0.95),
        ),
        Panel(
            "Error budget",
            "percentunit",
            "Share of attempts that failed, over the windows that the alerts look at. Good: all below the objective. A page comes "
            "when 5 m and 1 h are both above 14.4 times the objective, or 30 m and 6 h above 6 times.",
            {
                "5 m": "max (deployment:sluicegate_attempts_failed:ratio_rate5m{$here})",
                "30 m": "max (deployment:sluicegate_attempts_failed:ratio_rate30m{$here})",
                "1 h": "max (deployment:sluicegate_attempts_failed:ratio_rate1h{$here})",
                "6 h": "max (deployment:sluicegate_attempts_failed:ratio_rate6h{$here})",
                "allowed": "max (sluicegate_attempts_failed:objective)",
            },
        ),
        Panel(
            "Dead letters",
            "reqps",
            "Deliveries that were given up, by reason; they can be listed and sent again. Good: 0, or what is usual for you.",
            {"{{reason}}": rate("sluicegate_dispatcher_dead_letters_total", "reason")},
            stacked=True,
        ),
    ],
)

BACKLOG = Row(
    "Backlog",
    [
        Panel(
            "Age of the oldest due delivery",
            "s",
            "By tier; without what is paused or disabled. Good: below a second. A line that climbs by a second each second is an "
            "endpoint that gets nothing at all; dashed: where the alerts are.",
            {
                "{{tier}}": "max by (tier) (sluicegate_dispatcher_oldest_due_age_seconds{$here})",
                "{{tier}}, allowed": "max by (tier) (sluicegate_oldest_due_age_seconds:limit)",
            },
            width=12,
        ),
        Panel(
            "Deliveries that wait",
            "short",
            "By tier, due or not, so that retries of the next day count too. Good: flat.",
            {"{{tier}}": "sum by (tier) (sluicegate_dispatcher_backlog_deliveries{$here})"},
            stacked=True,
            width=12,
        ),
        Panel(
            "Worst destinations by age",
            "s",
            "Whose oldest delivery has been due longest. Good: seconds at most. An endpoint's name leads to its dashboard; those "
            "that are not among a process's worst are summed up as `other`.",
            {"Oldest due": "topk (10, max by (application, endpoint, tier) (sluicegate_endpoint_oldest_due_age_seconds{$here}))"},
            "table", 12,
            columns={"application": "Application", "endpoint": "Endpoint", "tier": "Tier"},
            link=DESTINATION,
        ),
        Panel(
            "Worst destinations by backlog",
            "short",
            "For whom most deliveries wait. Good: none stands out.",
            {"Waiting": "topk (10, sum by (application, endpoint, tier) (sluicegate_endpoint_backlog_deliveries{$here}))"},
            "table", 12,
            columns={"application": "Application", "endpoint": "Endpoint", "tier": "Tier"},
            link=DESTINATION,
        ),
        Panel(
            "Worst destinations by failing attempts",
            "reqps",
            "Where most attempts fail. Good: none. Where a breaker is open only its probes are left.",
            {
                "Failing": "topk (10, sum by (application, endpoint, tier) "
                '(sluicegate_endpoint_attempts_per_second{$here, class!="delivered"}) > 0)'
            },
            "table", 12,
            columns={"application": "Application", "endpoint": "Endpoint", "tier": "Tier"},
            link=DESTINATION,
        ),
        Panel(
            "Endpoints with work, by state",
            "short",
            "Good: most are `serving`. `open`: their receivers are down. `throttled`: their own limits hold them up. "
            "`deferred`: they asked for a pause. `closed`: paused or disabled.",
            {"{{state}}": "sum by (state) (sluicegate_dispatcher_endpoints{$here})"},
            width=12,
            stacked=True,
        ),
    ],
)

HELD_BACK = Row(
    "What holds deliveries back",
    [
        Panel(
            "Not now, by reason",
            "reqps",
            "Deliveries put back to where they wait; that uses up no attempt. Good: `order` and `limits` as configured. `credits` "
            "says that this installation is too small.",
            {"{{reason}}": rate("sluicegate_dispatcher_deferred_total", "reason") + " > 0"},
            stacked=True,
        ),
        Panel(
            "Circuit breakers",
            "reqps",
            "Breakers that opened and closed again. Good: none; as many that close as open.",
            {
                "opened": rate("sluicegate_dispatcher_breakers_opened_total"),
                "closed": rate("sluicegate_dispatcher_breakers_closed_total"),
            },
        ),
        Panel(
            "Endpoints disabled",
            "none",
            "Endpoints that were disabled within the last hour, by reason: nothing is sent to them until they are enabled again. "
            "Good: 0; their owners are told by an operational webhook.",
            {"{{reason}}": "sum by (reason) (increase(sluicegate_dispatcher_endpoints_disabled_total{$here}[1h]))"},
        ),
    ],
)

DASHBOARD = Dashboard(
    UID,
    "Sluicegate / Overview",
    "Is everything well, and if not, who is behind?",
    [DEPLOYMENT],
    [NOW, SIGNALS, BACKLOG, HELD_BACK],
)
