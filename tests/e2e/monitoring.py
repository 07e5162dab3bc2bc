#!/usr/bin/env python3
"""What docs/ gives to those who watch a tracker fits what it says: alerts, dashboard, Zabbix template (O15).

usage: monitoring.py METRICS, a file with what /metrics of a running tracker with a zone `here` said.

Every metric that is asked for must be there, and with the labels that it is asked for: a label that nobody writes gives an alert
that never fires. The rest is what Prometheus, Grafana and Zabbix cannot say before something is wrong: alerts without words, panels
without a description, and what the import of Zabbix 6.0 refuses.
"""

import json
import os
import re
import sys

import yaml

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")
HERE = os.path.dirname(os.path.abspath(__file__))
# Labels that Prometheus adds.
ADDED_LABELS = {"job", "instance"}
ADDED_METRICS = {"up"}
# A zone of the tracker that was asked; a discovered one in the template is taken for it.
ZONE = "here"

faults = []


def fault(text):
    faults.append(text)


def read_metrics(path):
    """The labels of all series, by name."""
    series = {}
    with open(path) as file:
        for line in file:
            if line.startswith("#") or not line.strip():
                continue
            name, labels, _ = re.fullmatch(r'(\w+)(?:\{(.*)\})? (\S+)\n?', line).groups()
            series.setdefault(name, []).append(dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")))
    return series


SELECTOR = re.compile(r'\b((?:retracker|process)_\w+|up)\b(?!\s*\()\s*(?:\{([^}]*)\})?')
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')


def selects(series, matchers):
    def fits(labels, name, sign, value):
        own = labels.get(name, "")
        is_equal = re.fullmatch(value, own) is not None if "~" in sign else own == value
        return is_equal != sign.startswith("!")

    return any(all(fits(labels, *matcher) for matcher in matchers) for labels in series)


def ask(metrics, where, expression):
    """Sees that everything an expression selects is there; gives how many selectors it has."""
    found = 0
    for name, inside in SELECTOR.findall(expression):
        found += 1
        if name in ADDED_METRICS:
            continue
        matchers = [
            (label, sign, value) for label, sign, value in MATCHER.findall(inside)
            if label not in ADDED_LABELS and not value.startswith("$")
        ]
        if name not in metrics:
            fault(f"{where}: no metric {name}")
        elif not selects(metrics[name], matchers):
            fault(f"{where}: no series {name}{{{inside}}}")
    return found


def alerts(metrics):
    with open(os.path.join(DOCS, "alerts.yml")) as file:
        rules = [rule for group in yaml.safe_load(file)["groups"] for rule in group["rules"]]
    names = [rule["alert"] for rule in rules]
    for rule in rules:
        name = rule["alert"]
        if names.count(name) > 1:
            fault(f"alert {name} stands twice")
        if rule["labels"].get("severity") not in ("critical", "warning", "info"):
            fault(f"alert {name}: severity")
        for annotation in ("summary", "description", "runbook"):
            if not rule["annotations"].get(annotation, "").strip():
                fault(f"alert {name} has no {annotation}")
        if not ask(metrics, f"alert {name}", rule["expr"]):
            fault(f"alert {name} asks for nothing")
    with open(os.path.join(HERE, "alerts.test.yml")) as file:
        tests = yaml.safe_load(file)["tests"]
    fired = {
        label
        for test in tests for asked in test.get("promql_expr_test", ()) for sample in asked.get("exp_samples", ())
        for label in re.findall(r'alertname="(\w+)"', sample["labels"])
    }
    for name in sorted(set(names) ^ fired):
        fault(f"alert {name} has no test, or a test has no alert")
    # What the healthy tracker of the test says is what the real one does.
    for test in tests:
        for row in test["input_series"]:
            if "other" not in row["series"]:
                without = re.sub(r'(version|le)="[^"]*"', r'\1=~".+"', row["series"])
                ask(metrics, f"test of {test['name']}", without)
    return len(rules)


def dashboard(metrics):
    with open(os.path.join(DOCS, "grafana.json")) as file:
        panels = json.load(file)["panels"]
    ids = [panel["id"] for panel in panels]
    if len(set(ids)) < len(ids):
        fault("panels share an id")
    for panel in panels:
        where = f"panel {panel['title']} ({panel['id']})"
        if len(panel.get("description", "")) < 20:
            fault(f"{where} has no description")
        for target in panel["targets"]:
            if not ask(metrics, where, target["expr"]):
                fault(f"{where} asks for nothing")
    return len(panels)


# What the import of Zabbix 6.0 knows of what is used here: keys, and those that must be there.
TAGS = ({"tag", "value"}, {"tag"})
DEPENDENCY = ({"name", "expression", "recovery_expression"}, {"name", "expression"})
STEP = ({"type", "parameters", "error_handler", "error_handler_params"}, {"type", "parameters"})
TRIGGER = (
    {"uuid", "expression", "recovery_mode", "recovery_expression", "name", "event_name", "opdata", "url", "status", "priority",
     "description", "type", "manual_close", "dependencies", "tags"},
    {"uuid", "expression", "name"},
)
ITEM = (
    {"uuid", "name", "type", "key", "delay", "history", "trends", "status", "value_type", "units", "params", "description", "valuemap",
     "preprocessing", "master_item", "timeout", "url", "headers", "status_codes", "tags", "triggers"},
    {"uuid", "name", "key"},
)
DISCOVERY = (
    {"uuid", "name", "type", "key", "delay", "status", "lifetime", "description", "item_prototypes", "trigger_prototypes",
     "master_item", "lld_macro_paths", "preprocessing"},
    {"uuid", "name", "key"},
)
TEMPLATE = (
    {"uuid", "template", "name", "description", "groups", "items", "discovery_rules", "tags", "macros", "valuemaps"},
    {"uuid", "template", "name", "groups"},
)
EXPORT = ({"version", "date", "groups", "templates", "triggers"}, {"version"})
PRIORITIES = {"NOT_CLASSIFIED", "INFO", "WARNING", "AVERAGE", "HIGH", "DISASTER"}
VALUE_TYPES = {"FLOAT", "CHAR", "LOG", "UNSIGNED", "TEXT"}
STEPS = {
    "PROMETHEUS_PATTERN": 3, "PROMETHEUS_TO_JSON": 1, "CHANGE_PER_SECOND": 1, "MULTIPLIER": 1, "DISCARD_UNCHANGED_HEARTBEAT": 1,
}
FUNCTIONS = {"sum", "min", "max", "avg", "count"}


def shape(where, thing, kind):
    known, needed = kind
    for key in thing.keys() - known:
        fault(f"{where}: {key} is no key of it")
    for key in needed - thing.keys():
        fault(f"{where}: no {key}")


class Zabbix:
    """One pass over the template."""

    def __init__(self, metrics):
        self.metrics = metrics
        with open(os.path.join(DOCS, "zabbix.yaml")) as file:
            self.export = yaml.safe_load(file)["zabbix_export"]
        (self.template,) = self.export["templates"]
        self.name = self.template["template"]
        self.rules = self.template["discovery_rules"]
        prototypes = [item for rule in self.rules for item in rule["item_prototypes"]]
        self.items = self.template["items"] + prototypes
        self.keys = [item["key"] for item in self.items] + [rule["key"] for rule in self.rules]
        self.macros = {row["macro"] for row in self.template["macros"]}
        self.valuemaps = {row["name"] for row in self.template["valuemaps"]}
        self.triggers = self.export["triggers"] + [trigger for item in self.items for trigger in item.get("triggers", ())]
        self.triggers += [trigger for rule in self.rules for trigger in rule["trigger_prototypes"]]

    def check(self):
        shape("export", self.export, EXPORT)
        shape("template", self.template, TEMPLATE)
        if self.export["version"] != "6.0":
            fault("not of Zabbix 6.0")
        self.uuids(self.export, [])
        for key in {key for key in self.keys if self.keys.count(key) > 1}:
            fault(f"{key} stands twice")
        for item in self.items:
            self.item(item["key"], item)
        for rule in self.rules:
            shape(rule["key"], rule, DISCOVERY)
            self.source(rule["key"], rule)
        for trigger in self.triggers:
            self.trigger(trigger)
        names = [trigger["name"] for trigger in self.triggers]
        if len(set(names)) < len(names):
            fault("two triggers have one name")
        text = json.dumps([self.template, self.export["triggers"]])
        for macro in set(re.findall(r"\{\$[A-Z0-9_.]+\}", text)) ^ self.macros:
            fault(f"{macro} is used and not set, or set and not used")
        return len(self.items), len(self.triggers)

    def uuids(self, thing, seen):
        """All of them: version 4, and none twice."""
        for inner in thing.values() if isinstance(thing, dict) else thing:
            if isinstance(inner, (dict, list)):
                self.uuids(inner, seen)
        own = thing.get("uuid") if isinstance(thing, dict) else None
        if own is not None:
            if not re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", str(own)):
                fault(f"{own} is no UUID of version 4")
            if own in seen:
                fault(f"{own} stands twice")
            seen.append(own)

    def item(self, where, item):
        shape(where, item, ITEM)
        if item.get("value_type", "UNSIGNED") not in VALUE_TYPES:
            fault(f"{where}: value_type")
        if item.get("value_type") in ("CHAR", "TEXT") and item.get("trends") != "0":
            fault(f"{where}: trends of a text")
        if not item.get("description"):
            fault(f"{where}: no description")
        if "valuemap" in item and item["valuemap"]["name"] not in self.valuemaps:
            fault(f"{where}: no such valuemap")
        for tag in item["tags"]:
            shape(where, tag, TAGS)
        if item["type"] == "DEPENDENT":
            self.source(where, item)
        elif item["type"] == "CALCULATED":
            asked = re.findall(r"last\(//(retracker[\w.]*(?:\[\{#ZONE\}\])?)\)", item["params"])
            for key in set(asked) - set(self.keys):
                fault(f"{where}: no item {key}")
            if not asked:
                fault(f"{where} calculates nothing")
        elif item["type"] != "HTTP_AGENT" or "url" not in item:
            fault(f"{where}: type")

    def source(self, where, thing):
        """What an item takes from the text of its master."""
        if thing["delay"] != "0" or thing["master_item"]["key"] != "retracker.metrics":
            fault(f"{where}: not of the master")
        for step in thing["preprocessing"]:
            shape(where, step, STEP)
            kind, parameters = step["type"], step["parameters"]
            if len(parameters) != STEPS.get(kind):
                fault(f"{where}: {kind} with {len(parameters)} parameters")
            if not all(isinstance(parameter, str) for parameter in parameters):
                fault(f"{where}: a parameter that is no text")
        first = thing["preprocessing"][0]
        pattern, *output = first["parameters"]
        pattern = pattern.replace("{#ZONE}", ZONE)
        if ask(self.metrics, where, pattern) != 1:
            fault(f"{where}: selects nothing")
        if first["type"] == "PROMETHEUS_TO_JSON":
            return
        how, argument = output
        if not (how, argument) == ("value", "") and not (how == "function" and argument in FUNCTIONS) and how != "label":
            fault(f"{where}: output {how} {argument}")
        name, inside = SELECTOR.findall(pattern)[0]
        chosen = sum(selects([labels], MATCHER.findall(inside)) for labels in self.metrics.get(name, ()))
        if how != "function" and chosen != 1:
            fault(f"{where}: {chosen} series where there may be one")
        counts = name.endswith(("_total", "_sum", "_count"))
        is_rate = any(step["type"] == "CHANGE_PER_SECOND" for step in thing["preprocessing"])
        if is_rate and not counts:
            fault(f"{where}: the rate of what is no counter")

    def trigger(self, trigger):
        where = f"trigger {trigger['name']}"
        shape(where, trigger, TRIGGER)
        if trigger["priority"] not in PRIORITIES:
            fault(f"{where}: priority")
        if not trigger.get("description"):
            fault(f"{where}: no description")
        asked = re.findall(r"/([^/()]+)/(retracker[\w.]*(?:\[\{#ZONE\}\])?)[,)]", trigger["expression"])
        for template, key in asked:
            if template != self.name or key not in self.keys:
                fault(f"{where}: no item /{template}/{key}")
        if not asked:
            fault(f"{where} looks at nothing")
        for dependency in trigger.get("dependencies", ()):
            shape(where, dependency, DEPENDENCY)
            if not any(all(other[key] == dependency[key] for key in ("name", "expression")) for other in self.triggers):
                fault(f"{where} depends on no trigger")


def main():
    metrics = read_metrics(sys.argv[1])
    rules, panels = alerts(metrics), dashboard(metrics)
    items, triggers = Zabbix(metrics).check()
    if faults:
        sys.exit("\n".join(faults))
    print(f"{rules} alerts, {panels} panels; for Zabbix {items} items and {triggers} triggers")


if __name__ == "__main__":
    main()
