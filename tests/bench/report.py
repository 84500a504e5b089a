"""report: what a benchmark measured, as Markdown, JSON and a picture; and on which machine."""
import json
import os
import platform
import statistics
import subprocess
from xml.sax.saxutils import escape

COLOURS = ("#8dd3c7", "#bebada", "#fb8072", "#80b1d3", "#fdb462", "#b3de69", "#fccde5", "#bc80bd",
           "#ccebc5", "#ffed6f", "#a6cee3", "#d9d9d9", "#e5c494")
LEFT, WIDTH, BAR, TOP = 110, 720, 34, 30  # of the picture, in its own units


def machine(accel):
    """What figures depend on; `load` as it is now."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        cpu = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "?")
    qemu = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, check=True, text=True)
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "qemu": qemu.stdout.split("\n", 1)[0].split("version ")[1].split()[0], "accelerator": accel,
            "load": round(os.getloadavg()[0], 2)}


def machine_line(m, after):
    accel = {"tcg": "software emulation", "kvm": "KVM"}[m["accelerator"]]
    return (f"{m['cores']} cores of {m['cpu']}, Linux {m['kernel']}, QEMU {m['qemu']}, {accel}; load {m['load']} before,"
            f" {after['load']} after.")


def spread(seconds):
    ms = [s * 1000 for s in seconds]
    return {"median_ms": round(statistics.median(ms), 1), "min_ms": round(min(ms), 1), "max_ms": round(max(ms), 1),
            "n": len(ms)}


def cell(s):
    digits = 0 if s["median_ms"] >= 100 else 1
    return f"{s['median_ms']:.{digits}f} [{s['min_ms']:.{digits}f}..{s['max_ms']:.{digits}f}]"


def ratio(a, b):
    """Of two lists of seconds, measured in pairs: of the medians, and how far the pairs are apart."""
    each = sorted(x / y for x, y in zip(a, b))
    return {"ratio": round(statistics.median(a) / statistics.median(b), 2), "min": round(each[0], 2),
            "max": round(each[-1], 2)}


def target(what, ours, theirs=None, at_most=None, at_least=None, unit=""):
    """A row of the table of targets: the ratio of two lists that were measured in pairs, or one list as it is."""
    if theirs is None:
        found = {"is": round(statistics.median(ours), 2), "min": round(min(ours), 2), "max": round(max(ours), 2)}
    else:
        r = ratio(ours, theirs)
        found = {"is": r["ratio"], "min": r["min"], "max": r["max"]}
    met = found["is"] <= at_most if at_least is None else found["is"] >= at_least
    return {"what": what, **found, "unit": unit, "may_be": f"<= {at_most}" if at_least is None else f">= {at_least}",
            "met": met}


def rates(values):
    """Of bytes a second, in MiB."""
    mib = [v / 2**20 for v in values]
    return f"{statistics.median(mib):.1f} [{min(mib):.1f}..{max(mib):.1f}]"


def write_part(folder, name, before, rounds, targets, measured):
    """What one program measured, for targets.py and for whoever reads JSON."""
    os.makedirs(folder, exist_ok=True)
    write_json(f"{folder}/{name}.json", {"machine": before, "load_after": machine(before["accelerator"])["load"],
                                         "rounds": rounds, "targets": targets, "measured": measured})


def table(head, rows):
    return "\n".join("| " + " | ".join(str(c) for c in row) + " |" for row in [head, ["---"] * len(head), *rows])


def write_json(path, d):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(d, f, indent=1)
        f.write("\n")


def write_svg(path, title, bars):
    """`bars`: {label: {step: ms}}; one stacked bar each, all on one scale, steps in their order."""
    steps = list(dict.fromkeys(s for bar in bars.values() for s in bar))
    colour = {s: COLOURS[i % len(COLOURS)] for i, s in enumerate(steps)}
    longest = max(sum(bar.values()) for bar in bars.values())
    rows = (len(steps) + 4) // 5
    height = TOP + len(bars) * (BAR + 10) + rows * 20 + 20
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 90}" height="{height}"'
           ' font-family="sans-serif" font-size="13">',
           '<rect width="100%" height="100%" fill="white"/>', f'<text x="10" y="19">{escape(title)}</text>']
    y = TOP
    for label, bar in bars.items():
        out.append(f'<text x="10" y="{y + 22}">{escape(label)}</text>')
        x = float(LEFT)
        for step, ms in bar.items():
            w = WIDTH * ms / longest
            out.append(f'<rect x="{x:.1f}" y="{y}" width="{w:.1f}" height="{BAR}" fill="{colour[step]}" stroke="white"'
                       f' stroke-width="0.5"><title>{escape(step)}: {ms:.1f} ms</title></rect>')
            x += w
        out.append(f'<text x="{x + 5:.1f}" y="{y + 22}">{sum(bar.values()):.0f} ms</text>')
        y += BAR + 10
    for i, step in enumerate(steps):
        x, at = 10 + (i % 5) * 150, y + 8 + (i // 5) * 20
        out.append(f'<rect x="{x}" y="{at}" width="12" height="12" fill="{colour[step]}"/>'
                   f'<text x="{x + 18}" y="{at + 11}">{escape(step)}</text>')
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join([*out, "</svg>", ""]))
