// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "cli/output.h"
#include <stdio.h>
#include <string.h>

static void print_degraded(const char *node, const char *without)
{
    printf("%s is degraded, without ", node);
    print_text(without ? without : "");
    puts("");
}

static void print_alarm(const char *node, const char *name)
{
    printf("ALARM on %s: ", node);
    print_text(name ? name : "");
    puts("");
}

static void print_peer(const json_t *peer)
{
    if (!json_is_object(peer))
        return;
    printf("peer %s: %s, has %lld events more\n", text_of(peer, "name"),
           json_is_true(json_object_get(peer, "connected")) ? "connected" : "AWAY",
           (long long)json_integer_value(json_object_get(peer, "lag_events")));
}

// A number of a row with its unit; "" where the node has not said it.
static char *with_unit(const json_t *row, const char *key, double divisor, int places,
                       const char *unit)
{
    char text[48] = "";
    const json_t *value = json_object_get(row, key);
    if (json_is_number(value))
        snprintf(text, sizeof(text), "%.*f %s", places, json_number_value(value) / divisor, unit);
    return duplicate(text);
}

static char *lag_cell(const json_t *row)
{
    return with_unit(row, "lag_seconds", 1, 1, "s");
}

static char *oldest_cell(const json_t *row)
{
    return with_unit(row, "queue_oldest_ms", 1000, 0, "s");
}

static char *disk_cell(const json_t *row)
{
    return with_unit(row, "disk_free_percent", 1, 0, "%");
}

static char *redis_cell(const json_t *row)
{
    char text[64];
    double took_ms = json_number_value(json_object_get(row, "redis_round_trip_ms"));
    if (took_ms <= 0)
        return duplicate(text_of(row, "redis"));
    snprintf(text, sizeof(text), "%.16s %.1f ms", text_of(row, "redis"), took_ms);
    return duplicate(text);
}

// Of each worker: mail in the last minute, what waits, how far this master is behind.
static void print_flow(const json_t *nodes)
{
    static const struct column columns[] = {{"WORKER", "name", 32, NULL},
                                            {"ACCEPTED/MIN", "accepted_per_minute", 0, NULL},
                                            {"REJECTED", "rejected_per_minute", 0, NULL},
                                            {"DELIVERED", "delivered_per_minute", 0, NULL},
                                            {"QUARANTINED", "quarantined_per_minute", 0, NULL},
                                            {"SPOOL", "spool", 0, NULL},
                                            {"QUEUE", "queue", 0, NULL},
                                            {"OLDEST", "", 0, oldest_cell},
                                            {"BEHIND", "", 0, lag_cell},
                                            {"DISK FREE", "", 0, disk_cell},
                                            {"REDIS", "", 0, redis_cell}};
    json_t *workers = json_array(), *node;
    size_t i;
    json_array_foreach(nodes, i, node)
    {
        if (strcmp(text_of(node, "role"), "worker") == 0)
            json_array_append(workers, node);
    }
    print_table(workers, columns, ARRAY_LENGTH(columns));
    json_decref(workers);
}

static void print_config(const json_t *config)
{
    long long conflicts = json_integer_value(json_object_get(config, "conflicts"));
    long long lacking = json_integer_value(json_object_get(config, "unreplicated"));
    if (conflicts > 0)
        printf("%lld configuration conflict(s), see `postern config conflicts`\n", conflicts);
    if (lacking > 0)
        printf("%lld configuration revision(s) unreplicated: the other master lacks them\n",
               lacking);
}

static void print_status(const json_t *status)
{
    static const struct column processes[] = {{"PROCESS", "name", 24, NULL},
                                              {"SLOT", "slot", 0, NULL},
                                              {"PID", "pid", 0, NULL},
                                              {"NODE", "node", 32, NULL}};
    static const struct column nodes[] = {
        {"NODE", "name", 32, NULL},        {"ROLE", "role", 0, NULL},
        {"STATE", "state", 0, NULL},       {"SITE", "site", 24, NULL},
        {"REVISION", "revision", 0, NULL}, {"VERSION", "version", 0, NULL},
        {"LAG", "lag_events", 0, NULL}};
    const char *master, *node;
    json_t *lag, *worker, *alarm;
    size_t i;
    printf("master %s, version %s, revision %s\n", text_of(status, "name"),
           text_of(status, "version"), text_of(status, "revision"));
    printf("spool %lld, queue %lld, orders open %lld\n",
           (long long)json_integer_value(json_object_get(status, "spool")),
           (long long)json_integer_value(json_object_get(status, "queue")),
           (long long)json_integer_value(json_object_get(status, "orders_open")));
    json_object_foreach(json_object_get(status, "lag_events"), master, lag) printf(
        "lag of %s: %lld events, replayed %.2f %%\n", master, (long long)json_integer_value(lag),
        100 * json_real_value(json_object_get(status, "replayed_share")));
    print_peer(json_object_get(status, "peer"));
    print_config(json_object_get(status, "config"));
    print_warnings(status);
    json_array_foreach(json_object_get(status, "alarms"), i, alarm)
        print_alarm(text_of(status, "name"), json_string_value(alarm));
    json_object_foreach(json_object_get(status, "workers"), node, worker)
        json_array_foreach(json_object_get(worker, "alarms"), i, alarm)
            print_alarm(node, json_string_value(alarm));
    json_object_foreach(json_object_get(status, "workers"), node, worker)
        json_array_foreach(json_object_get(worker, "degraded"), i, alarm)
            print_degraded(node, json_string_value(alarm));
    puts("");
    print_table(json_object_get(status, "nodes"), nodes, ARRAY_LENGTH(nodes));
    puts("");
    print_flow(json_object_get(status, "nodes"));
    puts("");
    print_table(json_object_get(status, "processes"), processes, ARRAY_LENGTH(processes));
}

int command_status(struct cli *self, int argc, char **argv)
{
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc > 0)
        return cli_misused(self, "it takes no argument");
    json_t *status = client_ask(&self->client, "GET", "/status", NULL);
    if (!status)
        return 1;
    if (self->json)
        print_json(status);
    else
        print_status(status);
    json_decref(status);
    return 0;
}
