"""The shape of a dashboard as Grafana imports it. What the panels show stands beside, one file a dashboard."""

from dataclasses import dataclass, field

# Grafana 12; older versions read it too, newer ones migrate it.
SCHEMA_VERSION = 41
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
# Where it is good, where it is worth a look, where somebody should act.
COLOURS = ("green", "yellow", "red")


@dataclass(frozen=True)
class Panel:
    """One picture. `queries` maps legends to expressions; a legend in braces names labels of the series."""

    title: str
    unit: str
    # Ends with what good looks like.
    description: str
    queries: dict[str, str]
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    stacked: bool = False
    # From where on a value is yellow, and from where on red; one value only: red.
    bounds: tuple[float, ...] = ()
    # Of a table: the title of each column by its label; the values stand in the last one.
    columns: dict[str, str] = field(default_factory=dict)
    # Of a table: the dashboard that a row leads to, with its endpoint.
    link: str = ""


@dataclass(frozen=True)
class Row:
    title: str
    panels: list[Panel]


@dataclass(frozen=True)
class Variable:
    """A choice of the reader: the values of a label. `every`: all of them can be chosen at once."""

    name: str
    label: str
    description: str
    metric: str
    every: bool = True


DEPLOYMENT = Variable(
    "deployment",
    "Deployment",
    "Which Sluicegate, where one Prometheus scrapes several that differ in the label `deployment`.",
    "sluicegate_build_info",
)


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    description: str
    variables: list[Variable]
    rows: list[Row]
    # What `$here` in its expressions stands for: the series that it is about.
    here: str = 'deployment=~"$deployment"'

    def json(self, others):
        """As Grafana reads it, with links to the others."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["sluicegate"],
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "timezone": "",
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "links": [_dashboard_link(other) for other in others if other is not self],
            "annotations": {"list": [_alerts_as_annotations()]},
            "templating": {"list": [_datasource()] + [_variable(variable) for variable in self.variables]},
            "panels": list(_placed(self.rows, self.here)),
        }


def _placed(rows, here):
    """Panels from left to right, then down; ids count up, so that a panel keeps its own while none is put before it."""
    number, top = 1, 0
    for row in rows:
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
        }
        number, top, left, tallest = number + 1, top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                top, left, tallest = top + tallest, 0, 0
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            yield _panel(panel, number, place, here)
            number, left, tallest = number + 1, left + panel.width, max(tallest, panel.height)
        top += tallest


def _panel(panel, number, place, here):
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _options(panel),
        "targets": [
            _target(panel, "ABCDEFGH"[index], legend, expression.replace("$here", here))
            for index, (legend, expression) in enumerate(panel.queries.items())
        ],
        "transformations": _transformations(panel),
    }


def _target(panel, reference, legend, expression):
    table = panel.kind == "table"
    return {
        "refId": reference,
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": expression,
        "legendFormat": legend,
        "range": not table,
        "instant": table,
        "format": "table" if table else "time_series",
    }


def _defaults(panel):
    defaults = {"unit": panel.unit, "color": {"mode": "palette-classic"}}
    if panel.kind == "timeseries":
        defaults["min"] = 0
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 25 if panel.stacked else 5,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if panel.bounds else "off"},
        }
    if panel.bounds or panel.kind == "stat":
        # The last bound is red; a bound before it is yellow.
        colours = COLOURS[-len(panel.bounds) :] if panel.bounds else ()
        steps = [{"color": COLOURS[0], "value": None}]
        steps += [{"color": colour, "value": bound} for colour, bound in zip(colours, panel.bounds)]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if panel.kind == "stat":
        defaults["color"] = {"mode": "thresholds"}
    return defaults


def _overrides(panel):
    if not panel.link:
        return []
    link = {"title": "Show this endpoint", "url": f"/d/{panel.link}?var-endpoint=${{__data.fields.endpoint}}&${{__url_time_range}}"}
    properties = [{"id": "links", "value": [link]}]
    return [{"matcher": {"id": "byName", "options": panel.columns["endpoint"]}, "properties": properties}]


def _options(panel):
    if panel.kind == "stat":
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "area",
            "textMode": "auto",
        }
    if panel.kind == "table":
        return {"showHeader": True, "cellHeight": "sm"}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _transformations(panel):
    if panel.kind != "table":
        return []
    shown = list(panel.columns) + ["Value"]
    return [
        {"id": "filterFieldsByName", "options": {"include": {"names": shown}}},
        {
            "id": "organize",
            "options": {
                "indexByName": {name: index for index, name in enumerate(shown)},
                "renameByName": panel.columns | {"Value": next(iter(panel.queries))},
            },
        },
        {"id": "sortBy", "options": {"sort": [{"field": next(iter(panel.queries)), "desc": True}]}},
    ]


def _datasource():
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "options": [],
    }


def _variable(variable):
    query = f"label_values({variable.metric}, {variable.name})"
    # All: also what has no such label.
    every = {"allValue": ".*", "current": {"text": "All", "value": "$__all"}} if variable.every else {}
    return {
        "name": variable.name,
        "label": variable.label,
        "description": variable.description,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": variable.name},
        "refresh": 2,
        "sort": 1,
        "hide": 0,
        "regex": "",
        "multi": variable.every,
        "includeAll": variable.every,
        "options": [],
        **every,
    }


def _dashboard_link(other):
    return {
        "type": "link",
        "title": other.title,
        "url": f"/d/{other.uid}",
        "tooltip": other.description,
        "icon": "dashboard",
        "asDropdown": False,
        "keepTime": True,
        "includeVars": True,
        "targetBlank": False,
        "tags": [],
    }


def _alerts_as_annotations():
    """A firing alert is a red range in each panel."""
    return {
        "name": "Alerts",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"Sluicegate.*", alertstate="firing", deployment=~"$deployment"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{endpoint}}{{instance}}",
        "step": "30s",
    }
