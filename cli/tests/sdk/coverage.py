"""Whether an SDK called each of its operations, with success.

    coverage.py OPERATIONS SDK BEFORE AFTER

OPERATIONS is the list, SDK one such as python-2, BEFORE and AFTER are the gateway's metrics. Prints a line
as the scenarios do.
"""

import re
import sys

COUNT = re.compile(r"^sluicegate_gateway_request_duration_seconds_count\{(.*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')


def successes(path):
    counts = {}
    for labels, count in COUNT.findall(open(path).read()):
        labels = dict(LABEL.findall(labels))
        if labels["status"] == "2xx":
            counts[labels["method"], labels["route"]] = float(count)
    return counts


def main():
    operations, sdk, before, after = sys.argv[1:]
    before, after = successes(before), successes(after)
    major = sdk.rpartition("-")[2]
    wanted = [
        (method, route)
        for method, route, *sdks in map(str.split, filter(str.strip, open(operations)))
        if not method.startswith(("#", "-")) and {major, sdk} & set(sdks)
    ]
    missing = [
        f"{method} {route}"
        for method, route in wanted
        if after.get((method, route), 0) <= before.get((method, route), 0)
    ]
    if missing or not wanted:
        print(f"FAILED  never called: {', '.join(missing)}")
    else:
        print(f"ok      all {len(wanted)} operations were called")


main()
