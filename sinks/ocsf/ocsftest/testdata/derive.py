"""Derives a JSON Schema of Detection Finding from a compiled OCSF schema: python3 derive.py COMPILED.json > OUT.json"""

import json
import sys

# The objects that findings of gatewatch have. Attributes of other object types are left out, so that they fail.
OBJECTS = """finding_info analytic attack tactic technique sub_technique related_event evidences actor user session api
http_request http_response url network_endpoint location anomaly_analysis analysis_target anomaly baseline observation timespan
metadata product observable resource_details remediation key_value_object object""".split()

PRIMITIVES = {
    "boolean_t": "boolean", "integer_t": "integer", "long_t": "integer", "float_t": "number", "string_t": "string",
}


def main():
    compiled = json.load(open(sys.argv[1]))
    dictionary = compiled.get("dictionary")
    types = dictionary["types"]["attributes"] if dictionary else compiled["types"]
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "derived by derive.py from the OCSF schema " + compiled["version"] + ", Apache License 2.0",
    }
    schema |= record(compiled["classes"]["detection_finding"], types)
    schema["$defs"] = {name: record(compiled["objects"][name], types) for name in OBJECTS}
    write(schema)


def record(source, types):
    """The schema of a class or an object."""
    attributes = {name: a for name, a in sorted(source["attributes"].items()) if wanted(a)}
    if not attributes:
        return {"type": "object"}
    out = {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name, a in attributes.items() if a["requirement"] == "required"],
        "properties": {name: attribute(a, types) for name, a in attributes.items()},
    }
    constraints = dict(source.get("constraints") or {})
    if names := constraints.pop("at_least_one", None):
        out["anyOf"] = [{"required": [name]} for name in names if name in attributes]
    if constraints:
        raise ValueError(f"unknown constraints {constraints}")
    if captions := siblings(attributes):
        out["dependentSchemas"] = captions
    return out


def wanted(a):
    if a.get("profile") or a.get("profiles") or "@deprecated" in a:
        return False
    return a["type"] != "object_t" or a["object_type"] in OBJECTS


def attribute(a, types):
    out = value(a, types)
    return {"type": "array", "items": out} if a.get("is_array") else out


def value(a, types):
    if a["type"] == "object_t":
        return {"$ref": "#/$defs/" + a["object_type"]}
    if a["type"] == "json_t":
        return {}
    kind = types[a["type"]]
    out = {"type": PRIMITIVES[kind.get("type", a["type"])]}
    if enum := a.get("enum"):
        out["enum"] = sorted(map(int, enum)) if out["type"] == "integer" else sorted(enum)
    for key, name in (("regex", "pattern"), ("max_len", "maxLength")):
        if key in kind:
            out[name] = kind[key]
    if "range" in kind:
        out["minimum"], out["maximum"] = kind["range"]
    return out


def siblings(attributes):
    """What the text beside a number may be: the caption of its value, anything beside 99."""
    out = {}
    for name, a in attributes.items():
        text, enum = a.get("sibling"), a.get("enum")
        if not enum or text not in attributes or a.get("is_array"):
            continue
        choices = [
            {"properties": {name: {"const": int(n)}, text: {"const": e["caption"]}}} if n != "99" else {"properties": {name: {"const": 99}}}
            for n, e in sorted(enum.items(), key=lambda item: int(item[0]))
        ]
        out[text] = {"required": [name], "anyOf": choices}
    return out


def write(schema):
    """One line for each part, so that a new version shows what it changes."""
    defs = schema.pop("$defs")
    lines = [json.dumps(k) + ": " + json.dumps(v) for k, v in schema.items()]
    lines.append('"$defs": {\n' + ",\n".join(json.dumps(k) + ": " + json.dumps(v) for k, v in defs.items()) + "\n}")
    print("{\n" + ",\n".join(lines) + "\n}")


main()
