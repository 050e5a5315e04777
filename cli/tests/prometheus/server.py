"""A running Prometheus, asked over its API."""

import json
import urllib.error
import urllib.parse
import urllib.request


class Refused(Exception):
    """Prometheus did not take a question; says what it said."""


class Prometheus:
    def __init__(self, url):
        self.url = url

    def _get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters, doseq=True)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise Refused(json.load(error)["error"]) from error

    def query(self, expression):
        """What the expression is now: a list of (labels, value)."""
        data = self._get("query", query=expression)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def range(self, expression, start, end, step):
        """What it was: a list of (labels, [(time, value)])."""
        data = self._get("query_range", query=expression, start=start, end=end, step=step)
        return [
            (series["metric"], [(time, float(value)) for time, value in series["values"]])
            for series in data["result"]
        ]

    def label_values(self, label, metric):
        return self._get(f"label/{label}/values", **{"match[]": metric})

    def metrics(self):
        """The names of all that was scraped or recorded."""
        return set(self._get("label/__name__/values"))

    def rules(self):
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def firing(self):
        """Names and labels of the alerts that fire."""
        return [alert["labels"] for alert in self._get("alerts")["alerts"] if alert["state"] == "firing"]
