// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "cli/output.h"
#include <stdio.h>

enum { NOT_EQUAL = 1, NOT_COMPARED = 2 };

static void print_verdict(const json_t *answer, int equal)
{
    static const struct column columns[] = {{"NODE", "node", 32, NULL},
                                            {"EPOCH", "epoch", 0, NULL},
                                            {"FROM", "from", 0, NULL},
                                            {"TO", "to", 0, NULL},
                                            {"LACKING HERE", "missing_here", 0, NULL},
                                            {"LACKING THERE", "missing_there", 0, NULL}};
    printf("%s and %s %s: %lld streams, %lld events lack here, %lld there\n",
           text_of(answer, "here"), text_of(answer, "there"), equal ? "hold the same" : "DIFFER",
           (long long)json_integer_value(json_object_get(answer, "streams")),
           (long long)json_integer_value(json_object_get(answer, "missing_here")),
           (long long)json_integer_value(json_object_get(answer, "missing_there")));
    if (!equal)
        print_table(json_object_get(answer, "differences"), columns, ARRAY_LENGTH(columns));
}

int command_verify(struct cli *self, int argc, char **argv)
{
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc > 0)
        return cli_misused(self, "it takes no argument");
    json_t *answer = client_ask(&self->client, "POST", "/verify", NULL);
    if (!answer)
        return NOT_COMPARED;
    int equal = json_is_true(json_object_get(answer, "equal"));
    if (self->json)
        print_json(answer);
    else
        print_verdict(answer, equal);
    json_decref(answer);
    return equal ? 0 : NOT_EQUAL;
}
