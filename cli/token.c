// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "cli/output.h"
#include "core/base/process.h"
#include "core/bus/join.h"
#include "core/bus/socket.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// "90", "90s", "15m", "1h", "7d" as seconds; -1: it is none.
static long long seconds_of(const char *text)
{
    static const struct {
        char unit;
        long long seconds;
    } units[] = {{0, 1}, {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char *end;
    long long number = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : -1;
    if (number < 0 || number > 1000000 || (*end && end[1]))
        return -1;
    for (size_t i = 0; i < ARRAY_LENGTH(units); i++)
        if (units[i].unit == *end)
            return number * units[i].seconds;
    return -1;
}

static int token_create(struct cli *self, int argc, char **argv)
{
    const char *role = "worker", *name = "", *expires = "1h";
    int code;
    const struct option_row rows[] = {
        {"role", &role, NULL}, {"name", &name, NULL}, {"expires", &expires, NULL}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc != 0)
        return cli_misused(self, "create takes options only");
    long long seconds = seconds_of(expires);
    if (seconds < 1)
        return cli_misused(self, "--expires %s: give a time like 15m, 1h or 7d", expires);
    json_t *body =
        json_pack("{s:s, s:s, s:I}", "role", role, "name", name, "lifetime_s", (json_int_t)seconds);
    json_t *answer = client_ask(&self->client, "POST", "/tokens", body);
    if (answer && self->json)
        print_json(answer);
    else if (answer)
        printf("A token for one %s, good for %s. On the new machine: postern join -\n%s\n", role,
               expires, text_of(answer, "token"));
    json_decref(body);
    json_decref(answer);
    return answer ? 0 : 1;
}

int command_token(struct cli *self, int argc, char **argv)
{
    static const struct subcommand rows[] = {{"create", token_create}};
    return cli_choose(self, rows, ARRAY_LENGTH(rows), argc, argv);
}

static void tell_how_to_start(const struct join_options *options, const struct nodeconf *conf)
{
    const char *program = strcmp(conf->role, "master") == 0 ? "postern-master" : "postern-node";
    printf("%s has joined as %s %s. Start it: systemctl start %s\nor: %s --config %s --state %s "
           "--run %s\n",
           conf->hostname, conf->role, conf->name, program, program, options->config, conf->state,
           conf->run);
}

int command_join(struct cli *self, int argc, char **argv)
{
    struct join_options options = {0};
    struct nodeconf conf;
    char error[512] = "", config[256];
    int code;
    const struct option_row rows[] = {
        {"config", &options.config, NULL}, {"state", &options.state, NULL},
        {"name", &options.name, NULL},     {"site", &options.site, NULL},
        {"smtp", &options.smtp, NULL},     {"https", &options.https, NULL},
    };
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc != 1)
        return cli_misused(self, "it takes the token, or - to read it, or @FILE");
    options.token = argv[0];
    options.run = self->run;
    options.config = process_config_path(options.config, options.state, config);
    enum join_outcome outcome = join_node(&options, &conf, error, sizeof(error));
    socket_context_end();
    if (outcome == JOIN_DONE) {
        tell_how_to_start(&options, &conf);
        return 0;
    }
    if (outcome == JOIN_BEFORE)
        fprintf(stderr, "postern: this machine has joined as %s already; see %s\n", conf.name,
                options.config);
    else
        fprintf(stderr, "postern: not joined: %s\n", error);
    return 1;
}
