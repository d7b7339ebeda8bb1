# SPDX-License-Identifier: Apache-2.0
"""The page bench/CLUSTER.md."""

HEAD = """# What a cluster reaches

Written by `bench/cluster.sh --write`: two masters, three workers and a next hop as processes on this machine, all on one
disk, over CURVE on loopback; the load and a follower of each master's events run beside them on the same processors.

"""

MEANING = """
How it is measured:

- **Live**: from the time that stands in the event, which the stage sets before the event is written anywhere, until a follower
  of `GET /api/v1/events` has it, which tells of an event once its commit is durable. So it holds more than the way from
  "durable on the worker" to "committed on the master". The mails (2 KiB, 200/s, each delivered) go to three workers in turns.
- **Bodies**: from the time in the event `quarantined` until the file of the body stands under its name on both masters
  (change time of the inode). 20 mails/s.
- **Catch-up**: one master gets SIGTERM, mails pile up events at the workers, then 1,000 mails/s flow and it starts again. Each
  mail is spooled, analysed and discarded by its policy, and makes one event; ten at a time go over a connection. Events taken a
  second: the pile divided by the time from its first to its last event at the returning master's follower. Live lag meanwhile:
  of the events made in that time. A master takes each worker's stream in its order, so on the one that returned an event waits
  for what the same worker made before it.
- **Partition**: fault proxies let nothing pass between one master and all others, for as long as stated, at 200 delivered mails/s;
  made good: from their opening until the last event of that time has arrived.
- **Configuration**: from the start of `postern config set domain/...` (masters in turns) until the ingress of every worker takes a
  recipient of the new domain.
- **Revocation**: from the start of `postern node remove` on one master, while the worker takes 50 mails/s and goes on taking
  them, to the last event of it that came to either master.
- **Both masters restarted**: from SIGKILL of both until each has an event of every worker made after they were started.
"""


def seconds(value):
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def row(what, limit, measured, met, detail):
    return f"| {what} | {limit} | {measured} | {'yes' if met else '**no**'} | {detail} |"


def load(said):
    late = f", {said['late']:,} of them late" if said["late"] else ""
    return f"{said['mails']:,} mails, {said['mails'] / said['seconds']:,.0f}/s{late}"


def live_row(result, _):
    both = result["both"]
    return [row("live, event committed on both masters, p99", "2 s", seconds(both["p99_s"]), both["p99_s"] <= 2,
                f"p50 {seconds(both['p50_s'])}, max {seconds(both['max_s'])}; {load(result['load'])}")]


def bodies_row(result, _):
    both = result["both"]
    return [row("quarantined body on both masters, p99", "5 s", seconds(both["p99_s"]), both["p99_s"] <= 5,
                f"p50 {seconds(both['p50_s'])}, max {seconds(both['max_s'])}; {load(result['load'])}")]


def lag_row(what, one):
    return row(f"live lag meanwhile, {what}, p99", "2 s", seconds(one["p99_s"]), one["p99_s"] <= 2,
               f"p50 {seconds(one['p50_s'])}, max {seconds(one['max_s'])} of {one['count']:,} events")


def catch_up_rows(results, _):
    rows = []
    for result in results:
        pile = result["pile"]
        rows += [row("catch-up, events a second beside the live ones", "10,000", f"{result['events_per_s']:,.0f}",
                     result["events_per_s"] >= 10000,
                     f"{result['events']:,} events, piled up at {pile['mails'] / pile['seconds']:,.0f}/s; all there "
                     f"{seconds(result['seconds'])} after the start of the process ({seconds(result['start_s'])} until "
                     f"the first), {seconds(result['processor_s'])} of processor time of that master; live: "
                     f"{load(result['load'])}"),
                 lag_row("on the master that stayed", result["stays"]),
                 lag_row("on the one that returned", result["returns"])]
    return rows


def partition_row(result, options):
    return [row(f"partition of {options.partition} s made good in", "60 s (of 600 s)", seconds(result["made_good_s"]),
                result["made_good_s"] <= 60, f"{result['events']:,} events; {load(result['load'])}")]


def configuration_row(result, _):
    return [row("configuration on all workers, p99", "3 s", seconds(result["p99_s"]), result["p99_s"] <= 3,
                f"p50 {seconds(result['p50_s'])}, max {seconds(result['max_s'])}; {result['count']} changes")]


def revocation_row(result, _):
    return [row("revocation cuts a worker off after", "5 s", seconds(result["cut_s"]), result["cut_s"] <= 5,
                f"the command took {seconds(result['command_s'])}")]


def restart_row(result, _):
    return [row("both masters restarted, all workers back after", "30 s", seconds(result["back_s"]),
                result["back_s"] <= 30, "on both masters")]


ROWS = {"live": live_row, "bodies": bodies_row, "catch-up": catch_up_rows, "partition": partition_row,
        "configuration": configuration_row, "revocation": revocation_row, "restart": restart_row}


def page(conditions, results, options):
    lines = [f"- {key}: {value}" for key, value in conditions.items()]
    lines += ["", "| what | limit | measured | met | beside it |", "| --- | --- | --- | --- | --- |"]
    for name, rows in ROWS.items():
        if name in results:
            lines += rows(results[name], options)
    return HEAD + "\n".join(lines) + "\n" + MEANING
