// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "cli/output.h"
#include "core/bus/keys.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_created(const struct cli *self, const json_t *status, const char *name,
                          const char *file)
{
    const json_t *public = json_object_get(status, "public");
    const char *address = text_of(public, "address");
    if (self->json) {
        json_t *value = json_pack("{s:s, s:s, s:s, s:s}", "name", name, "address", address,
                                  "server_key", text_of(public, "key"), "key_file", file);
        print_json(value);
        json_decref(value);
    } else {
        printf(
            "%s may subscribe now.\naddress     %s\nserver key  %s\nits keys    %s (public, then "
            "secret)\n",
            name, address, text_of(public, "key"), file);
    }
}

static int enrol(struct cli *self, const char *name, const char *key)
{
    json_t *body = json_pack("{s:s, s:s, s:s}", "name", name, "key", key, "role", "monitor");
    json_t *answer = client_ask(&self->client, "POST", "/nodes", body);
    int code = answer ? 0 : 1;
    json_decref(body);
    json_decref(answer);
    return code;
}

static int create_with(struct cli *self, const char *name, const char *file)
{
    struct curve_keys keys;
    if (access(file, F_OK) == 0) {
        fprintf(stderr, "postern: %s is there already; remove it, or give another --key\n", file);
        return 1;
    }
    json_t *status = client_ask(&self->client, "GET", "/status", NULL);
    if (!status)
        return 1;
    if (curve_keys_make(file, &keys) < 0) {
        fprintf(stderr, "postern: %s: %s\n", file, strerror(errno));
        json_decref(status);
        return 1;
    }
    int code = enrol(self, name, keys.public_key);
    if (code == 0)
        print_created(self, status, name, file);
    else
        unlink(file); // nobody knows this key
    curve_keys_wipe(&keys);
    json_decref(status);
    return code;
}

static int subscriber_create(struct cli *self, int argc, char **argv)
{
    const char *file = NULL;
    char own[128];
    int code;
    const struct option_row rows[] = {{"key", &file, NULL}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc != 1 || strlen(argv[0]) > 63)
        return cli_misused(self, "create takes one NAME");
    snprintf(own, sizeof(own), "%s.key", argv[0]);
    return create_with(self, argv[0], file ? file : own);
}

int command_subscriber(struct cli *self, int argc, char **argv)
{
    static const struct subcommand rows[] = {{"create", subscriber_create}};
    return cli_choose(self, rows, ARRAY_LENGTH(rows), argc, argv);
}
