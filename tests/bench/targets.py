"""targets: what the parts of a benchmark measured beside what it may be: met, or missed.

    targets.py FOLDER PART...    reads PART.json of each; a table in Markdown to stdout
"""
import json
import sys

import report


def main():
    folder, parts = sys.argv[1], sys.argv[2:]
    rows = []
    for part in parts:
        with open(f"{folder}/{part}.json", encoding="utf-8") as f:
            rows += json.load(f)["targets"]
    report.write_json(f"{folder}/targets.json", rows)
    print(report.table(["what", "may be", "is [spread]", ""], [
        [t["what"], f"{t['may_be']} {t['unit']}".rstrip(), f"{t['is']} [{t['min']}..{t['max']}]",
         "met" if t["met"] else "**missed**"] for t in rows]))
    print(f"\n{sum(t['met'] for t in rows)} of {len(rows)} targets are met.")


if __name__ == "__main__":
    main()
