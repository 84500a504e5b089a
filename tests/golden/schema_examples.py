#!/usr/bin/env python3
"""schema_examples: what lazaret takes, its published schemas take, and what a schema can refuse both refuse.

schema_examples.py PLAN_CHECK    status 77: there is no python3-jsonschema
"""
import json
import os
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is missing")
    sys.exit(77)

PLAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../vmm/plan")
M, P = {"format": "lazaret-manifest", "version": 1, "command": ["x"]}, {"format": "lazaret-policy", "version": 1}
GOOD = {
    "manifest": [{}, {"name": "_a.B-9"}, {"memory": 67108864}, {"memory": "64MiB"}, {"timeout": "1.5h"}, {"timeout": 3},
                 {"idle_time": "90s", "job_cpu_time": 60},
                 {"disk_rate": "20M", "disk_iops": 500}, {"user": "7:8"},
                 {"machine": "q35"}, {"writable": False}, {"env": ["A=1"]}, {"cpus": "2"}, {"accel": "tcg"},
                 {"inputs": ["/a"], "output": "/b", "output_max": 0}, {"debug": True, "amnesic": True}, {"trace": False},
                 {"inputs": ["/a"], "input_max": "1G"}, {"read": ["/in"], "write": ["/out"], "exec": []},
                 {"secrets": ["A", "_b1"], "secret_env": ["C"]},
                 {"network": []}, {"network": ["https://a.org", "tcp://[::1]:22", "http://*.a.org,bytes=1M"]},
                 {"network": [{"to": "https://a.org/v1", "name": "api", "methods": ["GET"], "bytes": "1G",
                               "rate": 1024, "streams": 2}]},
                 {"why": []}, {"why": [{"key": "read", "line": "/in", "by": "guest", "text": "", "widened": True}]}],
    "policy": [{}, {"max": {"memory": "1G", "timeout": "1h"}, "on_excess": "trim"},
               {"max": {"cpus": 3}, "on_excess": {"cpus": "refuse"}}, {"images": ["sha256:" + "0" * 64]},
               {"secrets": ["A"]}, {"input_roots": [], "output_roots": ["/x"], "writable": True},
               {"allow_debug": False, "require_amnesic": True, "required_layers": ["landlock", "user"]},
               {"network": [], "on_excess": {"network": "trim"}}, {"network": ["https://*"]},
               {"network": [{"to": "https://a.org/v1", "methods": ["GET"], "bytes": 1}],
                "network_ranges": ["10.0.0.0/8", "fd00::/8"]},
               {"egress_proxies": ["proxy.example.org:3128", "[fd00::1]:80"]},
               {"alerts": [{"when": "cpu", "above": 90, "for": "1m", "action": "kill"}]},
               {"require_record": True, "record_content": False, "record_changes": True, "redact": ["sk-*", "my name"]},
               {"record_max_age": "30d", "records_max_size": "1G"}, {"record_max_age": 90, "records_max_size": 1},
               {"alerts": [{"when": "canary", "files": ["/in/a"], "action": "freeze"}]},
               {"alerts": [{"when": "memory", "above": 1, "action": "notify", "socket": "/run/pager"}]}],
}
BAD = {
    "manifest": [{"version": 2}, {"format": "x"}, {"memroy": 1}, {"memory": True}, {"memory": "lots"}, {"cpus": 0},
                 {"cpus": 100000}, {"name": "-a"}, {"name": ""}, {"name": "a b"}, {"name": "a" * 65}, {"timeout": "never"}, {"machine": "pc"}, {"writable": "yes"}, {"env": "A=1"},
                 {"command": [1]}, {"open_files": 1}, {"network": True}, {"debug": 1},
                 {"amnesic": "yes"}, {"read": "/in"}, {"input_max": "x"}, {"trace": 1},
                 {"disk_rate": 1}, {"disk_iops": 9}, {"secrets": "A"}, {"secrets": ["a-b"]}, {"secret_env": [""]},
                 {"network": "https://a.org"}, {"network": ["a.org"]}, {"network": [1]}, {"network": [{}]},
                 {"network": [{"to": "https://a.org", "port": 1}]}, {"network": [{"to": "https://a.org", "bytes": 0}]},
                 {"network": [{"to": "https://a.org", "name": "A"}]}, {"network": [{"to": "https://a.org,bytes=1"}]},
                 {"network": [{"to": "https://a.org/v1", "name": "api", "secret": "K" * 65}]},
                 {"network": [{"to": "https://a.org", "methods": "GET"}]}, {"network_ranges": ["10.0.0.0/8"]},
                 {"why": "so"}, {"why": ["so"]}, {"why": [{"key": "read", "by": "me", "text": ""}]},
                 {"why": [{"key": "reed", "by": "host", "text": ""}]}, {"why": [{"key": "read", "by": "host"}]},
                 {"why": [{"key": "read", "by": "host", "text": "", "more": 1}]}],
    "policy": [{"version": 0}, {"maximum": {}}, {"max": {"image": 1}}, {"max": {"cpus": "x"}}, {"on_excess": "ask"},
               {"images": ["default"]}, {"input_roots": ["data"]}, {"writable": 1}, {"debug": True},
               {"allow_debug": "no"}, {"required_layers": ["moat"]}, {"required_layers": "landlock"}, {"secrets": ["1"]},
               {"alerts": {}}, {"alerts": [{"when": "moon", "action": "log"}]}, {"alerts": [{"when": "silence"}]},
               {"network": ["a.org"]}, {"network": [{"to": "https://a.org", "name": "x"}]},
               {"network": [{"to": "https://a.org", "secret": "K"}]}, {"network_ranges": ["10.0.0.0"]},
               {"network_ranges": "10.0.0.0/8"}, {"max": {"network": 1}},
               {"egress_proxies": ["http://proxy:80"]}, {"egress_proxies": "proxy:80"},
               {"require_record": 1}, {"redact": ["*"]}, {"redact": "sk-*"}, {"record_content": "no"},
               {"record_max_age": "1y"}, {"record_max_age": 0}, {"records_max_size": "x"}, {"records_max_size": 0},
               {"alerts": [{"when": "canary", "files": ["a"], "action": "freeze"}]},
               {"alerts": [{"when": "memory", "above": 1, "action": "notify", "socket": "pager"}]}],
}


def main():
    failed = 0
    for kind, base in (("manifest", M), ("policy", P)):
        with open(f"{PLAN}/lazaret.{kind}.schema.json", encoding="utf-8") as f:
            schema = json.load(f)
        jsonschema.Draft202012Validator.check_schema(schema)
        name = {"manifest": "agent", "policy": "policy"}[kind]
        with open(f"{PLAN}/examples/{name}.json", encoding="utf-8") as f:
            rows = [(json.load(f), True)]
        rows += [({**base, **more}, True) for more in GOOD[kind]] + [({**base, **more}, False) for more in BAD[kind]]
        validator = jsonschema.Draft202012Validator(schema)
        for text, want in rows:
            done = subprocess.run([sys.argv[1], kind], input=json.dumps(text), capture_output=True, text=True,
                                  timeout=30, check=False)
            got = (validator.is_valid(text), done.returncode == 0)
            if got != (want, want):
                print(f"{kind} {json.dumps(text)}: schema and code say {got}, want {want}: {done.stdout}")
                failed += 1
    return 1 if failed else 0


sys.exit(main())
