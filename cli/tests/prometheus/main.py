"""See `run`."""

import argparse
import pathlib
import re
import subprocess
import sys
import time
import traceback

import pictures
from boards import Board, mistakes
from expressions import selectors
from processes import Site, wait_until
from server import Prometheus, Refused
from traffic import Traffic

ROOT = pathlib.Path(__file__).resolve().parents[3]
RULES = ROOT / "deploy/prometheus"
RUNBOOKS = ROOT / "docs/runbooks"
BOARDS = [Board(ROOT / f"deploy/grafana/dashboards/{name}.json") for name in ("overview", "destination", "runtime")]
# What makes waiting short; and the objective for ages, which would need minutes to be missed.
QUICK = {"dispatcher__lease_ttl": "1500ms", "dispatcher__lease_renewal": "400ms", "dispatcher__request_timeout": "5s"}
REPLICATED = {"durability": "replicated"}
SHORTENED = [(r"for: \w+", "for: 1s"), (r"vector\((?:300|3600)\)", "vector(4)")]
ROLES = {"gateway": "production", "dispatcher": "production", "all-in-one": "trial"}
CONFIGURATION = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}/*.yaml"]
scrape_configs:
  - job_name: sluicegate
    static_configs:
"""

passed = failed = 0
BEGAN = time.monotonic()


def step(what, problems):
    """Tells how it ended: well if there are no problems."""
    global passed, failed
    what = f"{what} ({time.monotonic() - BEGAN:.0f} s)"
    if problems:
        failed += 1
        print(f"FAILED  {what}", *problems, sep="\n        ", flush=True)
    else:
        passed += 1
        print(f"ok      {what}", flush=True)


def output_of(*command):
    """What a command complains of, by lines; nothing if it ends well."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    return (done.stdout + done.stderr).splitlines() if done.returncode else []


def promtool(*arguments):
    return output_of("promtool", *arguments)


# What can be said without a server.


def check_files():
    step("the dashboards are as generated", output_of(ROOT / "deploy/grafana/generate", "--check"))
    for board in BOARDS:
        step(f"dashboard {board.name}: all panels are explained", mistakes(board))
    titles = {panel["title"] for board in BOARDS for panel in board.panels()}
    emphasis = re.compile(r"(?<!\*)\*([^*]+)\*(?!\*)")
    named = [(path.name, name) for path in RUNBOOKS.glob("*-*.md") for name in emphasis.findall(path.read_text())]
    step("runbooks name panels that there are", [f"{where}: {name}" for where, name in named if name not in titles])
    step("promtool checks the configuration and its rules", promtool("check", "config", RULES / "prometheus.yaml"))
    tests = sorted((RULES / "tests").glob("*.yaml"))
    step("promtool passes the tests of the rules", promtool("test", "rules", *tests))


def rule_tests():
    """How often tests want an alert to fire with a severity, and to be silent."""
    fires, silent = {}, {}
    for path in (RULES / "tests").glob("*.yaml"):
        for alert, expected in re.findall(r"alertname: (\w+)\n\s+exp_alerts:(.*?)(?=\n  - name|\Z)", path.read_text(), re.S):
            for severity in re.findall(r"severity: (\w+)", expected):
                fires[alert, severity] = fires.get((alert, severity), 0) + 1
            if expected.strip() == "[]":
                silent[alert] = silent.get(alert, 0) + 1
    return fires, silent


def check_alerts(alerts):
    fires, silent = rule_tests()
    problems, runbooks = [], set()
    for alert in alerts:
        name, severity = alert["name"], alert["labels"].get("severity")
        same = [other for other in alerts if other["name"] == name]
        if not fires.get((name, severity)):
            problems.append(f"{name} ({severity}) is fired by no test")
        if silent.get(name, 0) < len(same):
            problems.append(f"{name} has fewer tests that do not fire it than rules")
        if severity not in ("page", "ticket") or not {"summary", "description"} <= alert["annotations"].keys():
            problems.append(f"{name} lacks a severity, a summary or a description")
        words = re.findall("[A-Z][a-z]+", name.removeprefix("Sluicegate"))
        runbook = f"docs/runbooks/{'-'.join(words).lower()}.md"
        runbooks.add(ROOT / runbook)
        if alert["annotations"].get("runbook_url") != runbook:
            problems.append(f"{name} does not lead to {runbook}")
    kept = {path for path in RUNBOOKS.glob("*.md") if path.name != "README.md"}
    problems += [f"{path.relative_to(ROOT)} is missing" for path in sorted(runbooks - kept)]
    problems += [f"{path.relative_to(ROOT)} belongs to no alert" for path in sorted(kept - runbooks)]
    step(f"{len(alerts)} alerts: tests that fire them and that do not, texts, runbooks", problems)


# What needs one.


def configure(site):
    """The rules with nothing changed but how long they wait, and which age is too much; a scrape each second."""
    rules = site.directory / "rules"
    rules.mkdir()
    for path in (RULES / "rules").glob("*.yaml"):
        text = path.read_text()
        for pattern, replacement in SHORTENED:
            text = re.sub(pattern, replacement, text)
        (rules / path.name).write_text(text)
    configuration = CONFIGURATION.format(rules=rules)
    for name, deployment in ROLES.items():
        labels = f"{{deployment: {deployment}, instance: {name}}}"
        configuration += f'      - {{targets: ["{site.admin[name]}"], labels: {labels}}}\n'
    path = site.directory / "prometheus.yaml"
    path.write_text(configuration)
    return path


def fires(prometheus, alert, **labels):
    """Waits until an alert with these labels fires."""

    def found():
        return [
            firing
            for firing in prometheus.firing()
            if firing["alertname"] == alert and labels.items() <= firing.items()
        ]

    wait_until(f"{alert} {labels} to fire", found)
    step(f"{alert} fires {labels}", [])


def ends(prometheus, alert):
    wait_until(f"{alert} to end", lambda: all(firing["alertname"] != alert for firing in prometheus.firing()))
    step(f"{alert} ends", [])


def pages(prometheus):
    return {(firing["alertname"], firing.get("endpoint")) for firing in prometheus.firing() if firing["severity"] == "page"}


def disturb(site, prometheus, traffic, dispatcher):
    """A dead receiver with a backlog, a killed dispatcher, a full Redis, and one without its replica."""
    fires(prometheus, "SluicegateEndpointBehind", severity="page", endpoint=traffic.endpoints["warehouse"])
    fires(prometheus, "SluicegateEndpointBehind", severity="ticket", tier="standard")
    # One is down, and one may get less than is sent to it; the third of those that are pinned is well.
    late = {("SluicegateEndpointBehind", traffic.endpoints[name]) for name in ("warehouse", "crm")}
    wait_until(f"no other pages than {late}", lambda: pages(prometheus) <= late)
    step("nothing else pages", [])

    site.kill("dispatcher")
    fires(prometheus, "SluicegateLaneUnowned", severity="page", deployment="production")
    fires(prometheus, "SluicegateProcessDown", instance="dispatcher")
    dispatcher()
    ends(prometheus, "SluicegateLaneUnowned")

    site.ask_redis("CONFIG", "SET", "maxmemory", str(site.redis_memory()))
    fires(prometheus, "SluicegateRedisMemory", severity="page")
    fires(prometheus, "SluicegateIngestRefused", severity="page")
    site.ask_redis("CONFIG", "SET", "maxmemory", "1gb")
    site.kill("replica")
    fires(prometheus, "SluicegateRedisReplication", severity="page", deployment="production")
    ends(prometheus, "SluicegateRedisMemory")
    site.replica()
    ends(prometheus, "SluicegateRedisReplication")


def lacks(prometheus, expression):
    """What is wrong with an expression: it cannot be asked, names a metric that there is not, or has no data."""
    try:
        if prometheus.query(expression):
            return None
        names = prometheus.metrics()
    except Refused as error:
        return f"{error}: {expression}"
    unknown = [name for name, _ in selectors(expression) if name not in names]
    return f"there is no {', '.join(unknown)}: {expression}" if unknown else f"no data: {expression}"


def check_data(what, prometheus, expressions):
    """All of them, each with the name of where it stands; once more those that lack data, in case a scrape was late."""
    for patience in (10, 0):
        lacking = [(where, expression) for where, expression in expressions if lacks(prometheus, expression)]
        if not lacking:
            break
        time.sleep(patience)
    step(what, [f"{where}: {lacks(prometheus, expression)}" for where, expression in lacking])


def check_boards(prometheus, traffic):
    for board in BOARDS:
        # From before the disturbances until after them.
        board.choose("__rate_interval", "2m")
        for variable, metric, label in board.variables():
            values = prometheus.label_values(label, metric)
            step(f"dashboard {board.name}: the variable {variable['name']} has values", [] if values else [metric])
            board.choose(variable["name"], variable.get("allValue") or traffic.endpoints["crm"])
        expressions = [(panel["title"], query) for panel in board.panels() for _, query in board.queries(panel)]
        expressions += [("annotations", expression) for expression in board.annotations()]
        what = f"dashboard {board.name}: {len(expressions)} expressions of {len(board.panels())} panels return data"
        check_data(what, prometheus, expressions)


def check_rules(prometheus, rules):
    step("all rules are evaluated", [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"])
    recorded = [(rule["name"], rule["query"]) for rule in rules if rule["type"] == "recording"]
    check_data(f"{len(recorded)} recording rules return data", prometheus, recorded)
    # Alerts are empty while nothing is wrong, but not for want of what they look at.
    looked_at = {
        (rule["name"], selector)
        for rule in rules
        if rule["type"] == "alerting"
        for _, selector in selectors(rule["query"])
    }
    check_data(f"{len(looked_at)} selectors of alerts return data", prometheus, sorted(looked_at))


def check_metrics(site):
    for name in ROLES:
        complaints = subprocess.run(["promtool", "check", "metrics"], input=site.metrics(name), capture_output=True, text=True)
        step(f"promtool checks the metrics of the {name}", (complaints.stdout + complaints.stderr).splitlines())


def live(site, seconds, draw):
    site.reserve(*ROLES)
    site.redis()
    receivers, gateway = site.receivers(), site.role("gateway", "gateway", **REPLICATED)
    traffic = Traffic(gateway, receivers)
    pinned = ",".join(f"{traffic.application}/{traffic.endpoints[name]}" for name in ("orders", "crm", "warehouse"))

    def dispatcher():
        site.role("dispatcher", "dispatcher", metrics__pinned_endpoints=pinned, **QUICK, **REPLICATED)

    dispatcher()
    trial = site.role("all-in-one", store="embedded", durability="disk")
    prometheus = Prometheus(site.prometheus(configure(site)))
    started = time.time()
    # What happens before the first scrape is no change.
    wait_until("a scrape of each", lambda: len(prometheus.query("sluicegate_ready == 1")) == len(ROLES))
    step("Prometheus scrapes all of them", [])
    with traffic, Traffic(trial, receivers, share=0.1):
        time.sleep(seconds)
        check_metrics(site)
        disturb(site, prometheus, traffic, dispatcher)
        rules = prometheus.rules()
        check_alerts([rule for rule in rules if rule["type"] == "alerting"])
        check_rules(prometheus, rules)
        check_boards(prometheus, traffic)
    print(f"answers to producers: {dict(sorted(traffic.answers.items()))}")
    if draw:
        for board in BOARDS:
            board.choose("__rate_interval", "15s")
            picture = pictures.draw(board.json, board.queries, prometheus, started, time.time())
            (draw / f"{board.name}.svg").write_text(picture, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/debug/sluicegate")
    parser.add_argument("--draw", type=pathlib.Path, metavar="DIRECTORY")
    parser.add_argument("--seconds", type=int, default=10)
    given = parser.parse_args()
    check_files()
    try:
        with Site(given.binary.resolve(), ROOT / "target/debug/loadtests") as site:
            live(site, given.seconds, given.draw and given.draw.resolve())
    except Exception:
        step("the live part", traceback.format_exc().splitlines())
    print(f"{passed} passed, {failed} failed")
    sys.exit(not passed or failed > 0)


if __name__ == "__main__":
    main()
