# SPDX-License-Identifier: Apache-2.0
"""The tables of bench/RESULTS.md."""

import statistics


def spread(rounds, key, digits=0):
    """min / median / max"""
    values = sorted(one[key] for one in rounds)
    middle = statistics.median(values)
    return " / ".join(f"{value:,.{digits}f}" for value in (values[0], middle, values[-1]))


def middle(rounds, key, digits=0):
    return f"{statistics.median(one[key] for one in rounds):,.{digits}f}"


def median(rounds, key):
    return statistics.median(one[key] for one in rounds)


def cell_row(name, found):
    row = [name]
    row += [spread(found[system], "rate") if system in found else "" for system in ("postfix", "postern", "direct")]
    if "postfix" in found and "postern" in found:
        times = median(found["postern"], "rate") / median(found["postfix"], "rate")
        limited = "direct" in found and median(found["postern"], "rate") > median(found["direct"], "rate") / 2
        row += [f"{times:.1f}{' (limited by the tools)' if limited else ''}",
                middle(found["postfix"], "cpu", 3), middle(found["postern"], "cpu", 3),
                f"1/{median(found['postfix'], 'cpu') / median(found['postern'], 'cpu'):.1f}"]
    row += [""] * (8 - len(row))
    return "| " + " | ".join(row) + " |"


def master_row(name, rounds):
    cells = [name] + [middle(rounds, f"cpu_{part}", 3) for part in ("ingress", "analyzer", "delivery", "node", "master")]
    cells += [middle(rounds, "lag"), middle(rounds, "catch_up_s", 1)]
    return "| " + " | ".join(cells) + " |"


def tables(results):
    lines = ["# Benchmark", "",
             "Written by `bench/run.sh --write`. Every mail is durable before its 250, checks are on, the master runs at",
             "nice 19. Rates are mails a second at the receiving server until the last one is there, min / median / max;",
             "processor time is ms a mail (median), of all Postfix processes and of ingress, analyzer, delivery and node.",
             ""]
    lines += [f"- {key}: {value}" for key, value in results["environment"].items()]
    lines += ["", "| cell | Postfix mails/s | Postern mails/s | tools alone | times | Postfix ms | Postern ms | part |",
              "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    lines += [cell_row(name, found) for name, found in results["cells"].items()]
    with_postern = {name: found["postern"] for name, found in results["cells"].items() if "postern" in found}
    if with_postern:
        lines += ["", "Processor time by process (ms a mail), events the master lacked at the end, seconds until it had them:",
                  "", "| cell | ingress | analyzer | delivery | node | master | lag | catch-up s |",
                  "| --- | --- | --- | --- | --- | --- | --- | --- |"]
        lines += [master_row(name, rounds) for name, rounds in with_postern.items()]
    lines += ["", "End of DATA to its reply in open loop, 4 KiB (ms):", "", "| system | mails/s | p50 | p99 | max |",
              "| --- | --- | --- | --- | --- |"]
    lines += [f"| {system} | {rate} | {one['p50_ms']} | {one['p99_ms']} | {one['max_ms']} |"
              for system, rates in results["latency"].items() for rate, one in rates.items()]
    lines += ["", "| system | system calls a mail | syncs a mail | peak memory MiB (sum of processes) |",
              "| --- | --- | --- | --- |"]
    lines += [f"| {system} | {one['calls']:.1f} | {one['syncs']:.3f} | {one['peak_memory_mib']:.0f} |"
              for system, one in results["calls"].items()]
    return "\n".join(lines) + "\n"
