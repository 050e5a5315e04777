"""The machinery: processes, the stages of the path, lanes and their leases, the store."""

from dashboard import DEPLOYMENT, Dashboard, Panel, Row, Variable
from queries import quantile, rate

UID = "sluicegate-runtime"
INSTANCE = Variable(
    "instance",
    "Process",
    "Which processes, by the address that Prometheus scrapes.",
    "sluicegate_build_info",
)


def p99(histogram, by=""):
    return quantile(0.99, histogram, by)


PROCESSES = Row(
    "Processes",
    [
        Panel(
            "Ready",
            "none",
            "1: takes traffic; 0: `/readyz` says why not. Good: 1 for each.",
            {"{{instance}}": "sluicegate_ready{$here}"},
        ),
        Panel(
            "CPU",
            "none",
            "Processors used. Good: below what the machine has; a worker thread that is full shows as 1.",
            {"{{instance}}": "rate(process_cpu_seconds_total{$here}[$__rate_interval])"},
        ),
        Panel(
            "Memory",
            "bytes",
            "Resident. Good: flat. It is bounded by credits and room for bodies, not by the backlog.",
            {"{{instance}}": "process_resident_memory_bytes{$here}"},
        ),
        Panel(
            "File descriptors",
            "percentunit",
            "Used of those allowed. Good: below 80 %; three are needed for each attempt in flight.",
            {"{{instance}}": "process_open_fds{$here} / process_max_fds{$here}"},
            bounds=(0.8, 0.95),
        ),
        Panel(
            "Log lines",
            "reqps",
            "By level. Good: no errors; warnings tell of receivers or of the store.",
            {"{{level}}": rate("sluicegate_log_lines_total", "level")},
        ),
        Panel(
            "Versions",
            "none",
            "What runs where. Good: one version, store and durability for all, but for a moment while it is rolled out.",
            {"Processes": "count by (instance, role, version, store, durability) (sluicegate_build_info{$here})"},
            "table",
            columns={"instance": "Process", "role": "Role", "version": "Version", "store": "Store", "durability": "Durability"},
        ),
    ],
)

PATH = Row(
    "Stages of the path",
    [
        Panel(
            "Duration by stage, p99",
            "s",
            "Ingest, publish, pull, attempt, settle. Good: all but `attempt` take milliseconds; that one is the receivers'.",
            {
                "ingest": p99("sluicegate_gateway_ingest_duration_seconds"),
                "publish": p99("sluicegate_gateway_publish_duration_seconds"),
                "pull": p99("sluicegate_dispatcher_fetch_seconds"),
                "attempt": p99("sluicegate_dispatcher_attempt_seconds"),
                "settle": p99("sluicegate_dispatcher_settle_seconds"),
            },
        ),
        Panel(
            "Queues within the dispatchers",
            "short",
            "What waits in memory for a stage; `held` is all that they have in hand. Good: small and bounded; `credit` above 0 "
            "for long says that there are too few dispatchers.",
            {"{{stage}}": "sum by (stage) (sluicegate_dispatcher_queue_depth{$here})"},
        ),
        Panel(
            "Wait in mailboxes, p99",
            "s",
            "How long a message to an actor waits for its turn. Good: below 10 ms; more means that a thread is full.",
            {"{{actor}}": p99("sluicegate_dispatcher_mailbox_wait_seconds", "actor")},
        ),
        Panel(
            "Credits",
            "short",
            "Rights to hold a delivery, as many as `dispatcher.max_in_flight` in each process. Good: some are free.",
            {"{{state}}": "sum by (state) (sluicegate_dispatcher_credits{$here})"},
            stacked=True,
        ),
        Panel(
            "Room for bodies",
            "bytes",
            "As much as `dispatcher.max_body_bytes` in each process. Good: most is free.",
            {"{{state}}": "sum by (state) (sluicegate_dispatcher_body_bytes{$here})"},
            stacked=True,
        ),
        Panel(
            "Actors",
            "short",
            "Actors alive. Good: one lane actor for each lane owned, one of each other kind in each dispatcher. A dispatcher that "
            "loses one ends by itself.",
            {"{{actor}}": "sum by (actor) (sluicegate_dispatcher_actors{$here})"},
        ),
    ],
)

LANES = Row(
    "Lanes and leases",
    [
        Panel(
            "Lanes owned",
            "short",
            "By dispatcher. Good: even shares, 64 in all.",
            {"{{instance}}": "sluicegate_dispatcher_lanes_owned{$here}", "all lanes": "max (sluicegate_dispatcher_lanes{$here})"},
        ),
        Panel(
            "Lease renewals",
            "reqps",
            "Good: all `renewed`. `failed`: the store did not answer; if that goes on the leases run out. `lost`: another node "
            "took the lane.",
            {"{{result}}": rate("sluicegate_dispatcher_lease_renewals_total", "result")},
        ),
        Panel(
            "Lanes that changed hands",
            "none",
            "Within 5 minutes. Good: none, but when dispatchers come or go. `unclean`: the owner before died or was cut off.",
            {
                "gained, {{takeover}}": "sum by (takeover) (increase(sluicegate_dispatcher_lanes_gained_total{$here}[5m]))",
                "handed over": "sum (increase(sluicegate_dispatcher_lanes_handed_over_total{$here}[5m]))",
                "lost while served": "sum (increase(sluicegate_dispatcher_lanes_fenced_total{$here}[5m]))",
            },
        ),
        Panel(
            "Dispatchers alive",
            "short",
            "As each of them sees it. Good: all see the same number.",
            {"{{instance}}": "sluicegate_dispatcher_nodes{$here}"},
        ),
        Panel(
            "Settlements that came to nothing",
            "none",
            "Within 5 minutes. `fenced`: the lane was another's by then, and the attempt is made again: a duplicate. `unmatched`: "
            "the delivery was not where it should have been. Good: 0.",
            {
                "fenced": "sum (increase(sluicegate_dispatcher_settlements_fenced_total{$here}[5m]))",
                "unmatched": "sum (increase(sluicegate_dispatcher_settlements_unmatched_total{$here}[5m]))",
            },
        ),
        Panel(
            "Possible duplicates after takeovers",
            "none",
            "Deliveries that a new owner found after an unclean takeover, within 5 minutes: at most so many arrive twice. Good: 0.",
            {"taken over": "sum (increase(sluicegate_dispatcher_takeover_deliveries_total{$here}[5m]))"},
        ),
    ],
)

STORE = Row(
    "Store",
    [
        Panel(
            "Calls",
            "ops",
            "By operation. Good: many messages in few calls: compare with the batches.",
            {"{{operation}}": rate("sluicegate_store_operation_duration_seconds_count", "operation") + " > 0"},
        ),
        Panel(
            "Duration of calls, p99",
            "s",
            "By operation, without `read`, which waits for work. Good: milliseconds; with fsync as long as the disk takes.",
            {
                "{{operation}}": "histogram_quantile(0.99, sum by (le, operation) "
                '(deployment:sluicegate_store_operation_duration_seconds_bucket:rate5m{deployment=~"$deployment", operation!="read"}))'
            },
        ),
        Panel(
            "Calls that fail",
            "ops",
            "By result. Good: none. `conflict` is somebody else's change at the same time, `fenced` a lane that changed hands; "
            "`unavailable`, `ambiguous` and `full` are the store's.",
            {"{{operation}}: {{result}}": rate("sluicegate_store_operation_duration_seconds_count", "operation, result", 'result!="ok"')},
        ),
        Panel(
            "Items in a call",
            "short",
            "On average. Good: grows with the load; that is what makes the store go far.",
            {
                "{{operation}}": rate("sluicegate_store_batch_items_sum", "operation")
                + " / ("
                + rate("sluicegate_store_batch_items_count", "operation")
                + " > 0)"
            },
        ),
        Panel(
            "Reachable",
            "none",
            "Whether the store answered when it was last asked, every 10 s. Good: 1 for each process.",
            {"{{instance}}": "sluicegate_store_up{$here}"},
        ),
        Panel(
            "Clock of the store less the machine's",
            "s",
            "Good: within a tenth of a second either way. No lease depends on it, but due times and signatures do.",
            {"{{instance}}": "abs(sluicegate_store_clock_skew_seconds{$here})"},
            bounds=(1, 5),
        ),
    ],
)

REDIS = Row(
    "Redis",
    [
        Panel(
            "Memory of Redis",
            "bytes",
            "Used, and `maxmemory`. Good: a quarter free, because the copy that a rewrite makes needs room too. 0: no maximum, and "
            "then nothing warns before the machine is full.",
            {
                "used": "max (sluicegate_redis_memory_used_bytes{$here})",
                "maximum": "max (sluicegate_redis_memory_max_bytes{$here})",
            },
        ),
        Panel(
            "Persistence",
            "none",
            "1: the append-only file is on, its last write and its last rewrite succeeded. Good: 1 for all three.",
            {
                "on": "min (sluicegate_redis_aof_enabled{$here})",
                "last write": "min (sluicegate_redis_aof_last_write_ok{$here})",
                "last rewrite": "min (sluicegate_redis_aof_last_rewrite_ok{$here})",
            },
        ),
        Panel(
            "Replicas",
            "short",
            "Connected replicas. Good: at least one with durability `replicated`; 0 is right for all others.",
            {"replicas": "min (sluicegate_redis_connected_replicas{$here})"},
        ),
        Panel(
            "Replication lag",
            "bytes",
            "How far the furthest replica is behind. Good: below a megabyte.",
            {"lag": "max (sluicegate_redis_replication_lag_bytes{$here})"},
        ),
        Panel(
            "Errors of scripts, reconnects",
            "none",
            "Within 5 minutes. Good: 0 of both; `no_script` after a restart of Redis is mended at once.",
            {
                "{{kind}}": "sum by (kind) (increase(sluicegate_store_script_errors_total{$here}[5m]))",
                "reconnects": "sum (increase(sluicegate_store_reconnects_total{$here}[5m]))",
            },
        ),
        Panel(
            "Evictions, delayed fsyncs",
            "short",
            "Since the start of Redis. Good: no key was ever evicted, because each is lost data; delayed fsyncs say that the disk is slow.",
            {
                "evicted keys": "max (sluicegate_redis_evicted_keys{$here})",
                "delayed fsyncs": "max (sluicegate_redis_aof_delayed_fsyncs{$here})",
            },
        ),
    ],
)

EMBEDDED = Row(
    "Embedded store",
    [
        Panel(
            "Size",
            "bytes",
            "Its files, and the room that is left on their disk. Good: the room is a multiple of the size.",
            {
                "size": "sum (sluicegate_embedded_size_bytes{$here})",
                "free": "min (sluicegate_embedded_disk_free_bytes{$here})",
            },
        ),
        Panel(
            "Compactions",
            "none",
            "Ended within 5 minutes, and under way. Good: they come and end; many under way all the time say that the disk is slow.",
            {
                "ended": "sum (increase(sluicegate_embedded_compactions_total{$here}[5m]))",
                "under way": "sum (sluicegate_embedded_compactions_active{$here})",
            },
        ),
        Panel(
            "Journals",
            "short",
            "Journal files on disk. Good: a few.",
            {"journals": "sum (sluicegate_embedded_journals{$here})"},
        ),
        Panel(
            "Sweep lag",
            "s",
            "How long ago the time of the oldest record was over that is still to be removed. Good: next to 0; while it grows, more comes in "
            "than can be removed.",
            {"lag": "max (sluicegate_embedded_sweep_lag_seconds{$here})"},
        ),
    ],
)

API = Row(
    "API",
    [
        Panel(
            "Requests by status",
            "reqps",
            "All of the API. Good: 2xx; 4xx are callers' mistakes, 5xx ours or the store's.",
            {"{{status}}": rate("sluicegate_gateway_request_duration_seconds_count", "status")},
            stacked=True,
        ),
        Panel(
            "Errors by code",
            "reqps",
            "As docs/errors.md explains them. Good: no internal, no store_…, no overloaded.",
            {"{{code}}": rate("sluicegate_gateway_errors_total", "code")},
        ),
        Panel(
            "Callers turned away",
            "reqps",
            "Whose token is missing, unknown, or good for something else. Good: next to none; a rise is a key that was revoked, or "
            "somebody who tries.",
            {"{{reason}}": rate("sluicegate_gateway_requests_denied_total", "reason")},
        ),
    ],
)

DASHBOARD = Dashboard(
    UID,
    "Sluicegate / Runtime",
    "The machinery: processes, the stages of the path, lanes and their leases, the store.",
    [DEPLOYMENT, INSTANCE],
    [PROCESSES, PATH, LANES, STORE, REDIS, EMBEDDED, API],
    'deployment=~"$deployment", instance=~"$instance"',
)
