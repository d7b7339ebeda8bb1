// SPDX-License-Identifier: Apache-2.0
#include "mail/schema.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// A tree of documents, and how its error begins; NULL: it is right.
struct row {
    const char *documents, *error;
};

static const struct row trees[] = {
    {"{}", NULL},
    {"[]", "documents: they are missing; "},
    {"{'domain/example.org': {}}", NULL},
    {"{'domain/example.org': {'description': 'ours', 'policy': 'default'}}", NULL},
    {"{'domain/Example.org': {}}", "domain/Example.org: \"Example.org\" is no name; use a-z"},
    {"{'domain/': {}}", "domain/: the name has 0 bytes; give 1 to 253"},
    {"{'domain/a..b': {}}", "domain/a..b: \"a..b\" is no name; "},
    {"{'domain': {}}",
     "domain: there is no such kind of document; give one of: domain/NAME, route/NAME, "},
    {"{'relay/x': {}}", "relay/x: there is no such kind of document; "},
    {"{'domains/x': {}}", "domains/x: there is no such kind of document; "},
    {"{'domain/a.org': []}", "domain/a.org: this is a list; give an object"},
    {"{'domain/a.org': {'colour': 1}}",
     "domain/a.org.colour: a domain document has no such key; give one of: recipients, "},
    {"{'ingress': {'colour': 1}}", "ingress.colour: an ingress document has no such key; "},
    {"{'domain/a.org': {'description': 1}}",
     "domain/a.org.description: this is a whole number; give a text"},
    {"{'domain/a.org': {'route': 'r'}}", "domain/a.org.route: there is no document route/r; "},
    {"{'domain/a.org': {'route': 'r'}, 'route/r': {'hops': ['mx.a.org']}}", NULL},
    {"{'domain/a.org': {'policy': 'p'}}", "domain/a.org.policy: there is no document policy/p; "},
    {"{'domain/a.org': {'recipients': ['a@b']}}",
     "domain/a.org.recipients: entry 1, a@b, does not fit; "},
    {"{'domain/a.org': {'recipients': 'a'}}",
     "domain/a.org.recipients: this is a text; give a list"},
    {"{'route/r': {}}", "route/r.hops: it is missing; "},
    {"{'route/r': {'hops': []}}", "route/r.hops: the list has 0 entries; give 1 to 64"},
    {"{'route/r': {'hops': ['a:0']}}", "route/r.hops: entry 1, a:0, does not fit; give a port"},
    {"{'route/r': {'hops': ['a', {'host': 'b', 'prt': 1}]}}",
     "route/r.hops: entry 2, an object, does not fit; "},
    {"{'route/r': {'hops': ['a'], 'tls': 'often'}}",
     "route/r.tls: there is no \"often\"; give one of: none, may, encrypt, verify"},
    {"{'policy/p': {'reject': 'high'}}", "policy/p.reject: this is a text; give a number"},
    {"{'policy/p': {'reject': null, 'tag': -1.5}}", NULL},
    {"{'policy/p': {'on_virus': 'quarantine'}}", NULL},
    {"{'policy/p': {'on_virus': null}}", "policy/p.on_virus: this is null; give one of: accept"},
    {"{'policy/p': {'tag_prefix': 'a\\nb'}}", "policy/p.tag_prefix: "},
    {"{'list/l': {'entries': ['a.org']}}", "list/l.entries: entry 1, \"a.org\", is no address; "},
    {"{'list/l': {'entries': ['@a.org', 'b@a.org']}}", NULL},
    {"{'list/l': {'of': 'client', 'entries': ['10.0.0.0/33']}}",
     "list/l.entries: entry 1, 10.0.0.0/33, does not fit; "},
    {"{'node/w': {'site': 'here'}}", NULL},
    {"{'node/w': {'role': 'cook'}}", "node/w.role: there is no \"cook\"; give one of: worker, "},
    {"{'node/w': {'key': 'short'}}", "node/w.key: the text has 5 bytes; give 40 to 40"},
    {"{'node/w': {'key': 'rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf '}}", "node/w.key: "},
    {"{'node/w': {'control': 'ipc:///x'}}", "node/w.control: \"ipc:///x\" does not fit; give tcp"},
    {"{'node/w': {'previous_key': 'rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7'}}",
     "node/w.previous_until: it is missing; "},
    {"{'node/w': {'policy': 'p'}}", "node/w.policy: a node document has no such key; "},
    {"{'node/0123456789012345678901234567890123456789012345678901234567890123': {}}",
     "node/0123456789012345678901234567890123456789012345678901234567890123: the name has 64"},
    {"{'revoked/54fcba24e93249969316fb617c872bb0c1d1ff14800427c594cbfacf1bc2d652': {}}", NULL},
    {"{'revoked/54FCBA24': {}}", "revoked/54FCBA24: \"54FCBA24\" is no name; "},
    {"{'revoked/54fcba24': {}}", "revoked/54fcba24: \"54fcba24\" is no key; "},
    {"{'relay': {'clients': ['10.0.0.0/8', '::1', '2001:db8::/32']}}", NULL},
    {"{'relay': {'clients': ['localhost']}}", "relay.clients: entry 1, localhost, does not fit; "},
    {"{'ingress': {'message_max': '20M', 'big_from': 65536}}", NULL},
    {"{'ingress': {'message_max': '20X'}}", "ingress.message_max: it is out of range; "},
    {"{'ingress': {'message_max': 1}}", "ingress.message_max: it is out of range; "},
    {"{'ingress': {'errors_max': 1.5}}", "ingress.errors_max: 1.5 is not whole; "},
    {"{'ingress': {'greylist': 1}}",
     "ingress.greylist: this is a whole number; give true or false"},
    {"{'ingress': {'tls_key': '/k'}}", "ingress.tls_certificate: it is missing; "},
    {"{'ingress': {'tls_key': 'k', 'tls_certificate': '/c'}}",
     "ingress.tls_key: \"k\" does not fit; give an absolute path"},
    {"{'redis': {'address': 'unix:/run/r'}}", NULL},
    {"{'redis': {'address': 'somewhere'}}", "redis.address: \"somewhere\" does not fit; "},
    {"{'redis': {'address': '192.0.2.1:6379'}}", NULL},
    {"{'redis': {'address': '[2001:db8::1]:6379', 'user': 'postern', 'host': 'redis.example',"
     " 'password_file': '/etc/postern/redis', 'authorities': '/etc/postern/ca.pem'}}",
     NULL},
    {"{'redis': {'address': 'redis.example:6379'}}", "redis.address: \"redis.example:6379\" does"},
    {"{'redis': {'address': '[192.0.2.1]:6379'}}", "redis.address: \"[192.0.2.1]:6379\" does not"},
    {"{'redis': {'address': '192.0.2.1'}}", "redis.address: \"192.0.2.1\" does not fit; "},
    {"{'redis': {'sentinels': ['192.0.2.1:26379', '[2001:db8::1]:26379'], 'master_name': 'm-1'}}",
     NULL},
    {"{'redis': {'sentinels': ['unix:/run/s'], 'master_name': 'm'}}",
     "redis.sentinels: entry 1, unix:/run/s, does not fit; give ADDRESS:PORT"},
    {"{'redis': {'sentinels': ['192.0.2.1:26379']}}", "redis.master_name: it is missing; "},
    {"{'redis': {'master_name': 'm'}}", "redis.sentinels: it is missing; "},
    {"{'redis': {'sentinels': ['192.0.2.1:1'], 'master_name': 'a b'}}", "redis.master_name: "},
    {"{'redis': {'sentinels': ['192.0.2.1:1'], 'master_name': 'm', 'address': '192.0.2.1:1'}}",
     "redis.address: the sentinels tell it; "},
    {"{'delivery': {'resolver': '127.0.0.1:99999'}}", "delivery.resolver: "},
    {"{'stages': {'ingress': 3, 'analyzer': 0}}", NULL},
    {"{'stages': {'ingress': 65}}",
     "stages.ingress: it is out of range; give a whole number from 0 to 64 processes"},
};

// JSON with ' for ".
static json_t *read_tree(const char *text, char *error, size_t size)
{
    char json[512];
    snprintf(json, sizeof(json), "%s", text);
    for (char *at = json; *at; at++)
        if (*at == '\'')
            *at = '"';
    return schema_read(json, strlen(json), error, size);
}

static void test_errors_name_the_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(trees); i++) {
        const struct row *row = &trees[i];
        char error[512] = "";
        json_t *tree = read_tree(row->documents, error, sizeof(error));
        int rc = tree ? schema_check_tree(tree, error, sizeof(error)) : -2;
        if (rc != (row->error ? -1 : 0) ||
            (row->error && strncmp(error, row->error, strlen(row->error)) != 0))
            fail_msg("%s gave %d: %s", row->documents, rc, error);
        json_decref(tree);
    }
}

static void test_hostile_json_is_refused(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{'a': 1, 'a': 2}", "line 1, column "},
        {"{'a': ", "line 1, column "},
        {"", "line 1, column "},
        {"[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", "line 1: the JSON text has more than"},
        {"['[[[[[[[[[[[[[[[[[[[[[[[']", NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char error[512] = "";
        json_t *tree = read_tree(rows[i].documents, error, sizeof(error));
        assert_int_equal(tree == NULL, rows[i].error != NULL);
        assert_int_equal(strncmp(error, rows[i].error ? rows[i].error : "",
                                 rows[i].error ? strlen(rows[i].error) : 1),
                         0);
        json_decref(tree);
    }
}

static void test_every_default_is_in_its_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < schema_kind_count; i++) {
        for (size_t k = 0; k < schema_kinds[i].key_count; k++) {
            const struct schema_key *key = &schema_kinds[i].keys[k];
            int counted =
                key->type == SCHEMA_COUNT || key->type == SCHEMA_SIZE || key->type == SCHEMA_NUMBER;
            assert_true(!counted || isnan(key->fallback) ||
                        (key->fallback >= key->min && key->fallback <= key->max));
            assert_non_null(key->about);
            assert_true(key->type != SCHEMA_CHOICE || key->choices);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_name_the_place),
        cmocka_unit_test(test_hostile_json_is_refused),
        cmocka_unit_test(test_every_default_is_in_its_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
