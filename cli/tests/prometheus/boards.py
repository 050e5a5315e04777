"""The dashboards as they are kept, and their expressions as Prometheus would be asked."""

import json
import re


class Board:
    def __init__(self, path):
        self.name = path.stem
        self.json = json.loads(path.read_text(encoding="utf-8"))
        self.title = self.json["title"]
        self.values = {}

    def panels(self):
        return [panel for panel in self.json["panels"] if panel["type"] != "row"]

    def variables(self):
        """Names, labels and metrics of those that ask Prometheus."""
        for variable in self.json["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()
                yield variable, metric, label

    def choose(self, variable, value):
        """What stands for the variable from now on."""
        self.values[variable] = value

    def filled_in(self, expression):
        """With the chosen values in place of variables."""
        return re.sub(r"\$(\w+)", lambda match: self.values[match[1]], expression)

    def queries(self, panel):
        """Legends and expressions of a panel."""
        return [(target["legendFormat"], self.filled_in(target["expr"])) for target in panel["targets"]]

    def annotations(self):
        return [self.filled_in(annotation["expr"]) for annotation in self.json["annotations"]["list"]]


def mistakes(board):
    """What every panel must have and does not."""
    document, found = board.json, []
    if not re.fullmatch(r"sluicegate-[a-z]+", document["uid"]) or document["schemaVersion"] < 41:
        found.append("a fixed uid and a current schemaVersion")
    if document["templating"]["list"][0]["type"] != "datasource":
        found.append("a variable for the datasource")
    titles, ids = [], set()
    for panel in board.panels():
        titles.append(panel["title"])
        ids.add(panel["id"])
        if not (panel["title"] and panel["fieldConfig"]["defaults"]["unit"] and "Good: " in panel["description"]):
            found.append(f"{panel['title']}: title, unit, and a description that says what is good")
        if any(target["datasource"]["uid"] != "${datasource}" for target in [panel, *panel["targets"]]):
            found.append(f"{panel['title']}: the datasource of the variable")
    if len(set(titles)) != len(titles) or len(ids) != len(titles):
        found.append("titles and ids that name one panel each")
    return found
