// SPDX-License-Identifier: Apache-2.0
#include "mail/settings.h"
#include "proto/verdict.pb-c.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct settings *parse(const char *json)
{
    char error[512] = "";
    struct settings *settings = settings_parse(json, strlen(json), error, sizeof(error));
    if (!settings)
        fail_msg("refused: %s", error);
    return settings;
}

static void test_an_empty_tree_has_all_defaults(void **state)
{
    (void)state;
    struct settings *self = parse("{\"revision\":\"0\",\"documents\":{}}");
    assert_string_equal(self->revision, "0");
    assert_int_equal(self->message_max, 50 << 20);
    assert_int_equal(self->memory_max, 512 << 20);
    assert_int_equal(self->big_from, 1 << 20);
    assert_int_equal(self->verdict_wait_ms, 20000);
    assert_int_equal(self->connections_max, 10000);
    assert_int_equal(self->job_timeout_ms, 60000);
    assert_int_equal(self->header_bytes_max, 256 << 10);
    assert_int_equal(self->expire_s, 432000);
    assert_true(self->retry_factor == 1.5);
    assert_int_equal(self->delivery, 1);
    assert_null(self->redis);
    const struct settings_policy *policy = settings_policy(self, "no-such");
    assert_string_equal(policy->name, "default");
    assert_true(policy->tag == 5 && policy->quarantine == 8 && policy->reject == 15);
    assert_int_equal(policy->on_virus, POSTERN__ACTION__ACTION_REJECT);
    assert_int_equal(policy->on_timeout, POSTERN__ACTION__ACTION_QUARANTINE);
    assert_ptr_equal(settings_policy(self, NULL), policy);
    settings_release(&self);
    assert_null(self);
}

static const char tree[] =
    "{\"revision\":\"7\",\"documents\":{"
    "\"domain/b.org\":{\"policy\":\"strict\",\"route\":\"in\",\"recipients\":[\"Zoe\",\"anna\"]},"
    "\"domain/a.org\":{},"
    "\"route/in\":{\"hops\":[{\"host\":\"second\",\"port\":26,\"priority\":20},"
    "{\"host\":\"[::1]\",\"priority\":10}],\"tls\":\"verify\"},"
    "\"route/plain\":{\"hops\":[\"one:2525\",\"[::1]:26\",\"::1\"]},"
    "\"policy/strict\":{\"reject\":null,\"on_virus\":\"quarantine\",\"tag_prefix\":\"[spam] \"},"
    "\"list/bad\":{\"of\":\"client\",\"entries\":[\"192.0.2.0/24\"]},"
    "\"list/good\":{\"kind\":\"allow\",\"entries\":[\"X@Good.org\",\"@fine.org\"]},"
    "\"ingress\":{\"message_max\":\"20M\",\"xclient\":[\"127.0.0.0/8\"],\"greylist\":true}}}";

static void test_a_tree_is_read(void **state)
{
    (void)state;
    struct settings *self = parse(tree);
    const struct settings_domain *domain = settings_domain(self, "B.ORGxxx", 5);
    assert_non_null(domain);
    assert_string_equal(domain->policy, "strict");
    assert_int_equal(domain->recipient_count, 2);
    assert_string_equal(domain->recipients[1], "zoe");
    assert_null(settings_domain(self, "a.org", 5)->recipients);
    assert_null(settings_domain(self, "c.org", 5));
    const struct settings_route *route = settings_route(self, domain->route);
    assert_string_equal(route->hops[0].host, "::1");
    assert_int_equal(route->hops[1].port, 26);
    assert_int_equal(route->tls, TLS_VERIFY);
    route = settings_route(self, "plain");
    assert_int_equal(route->hops[0].port, 2525);
    assert_int_equal(route->hops[1].port, 26);
    assert_string_equal(route->hops[2].host, "::1");
    assert_int_equal(route->hops[2].port, 25);
    assert_true(settings_policy(self, "strict")->reject > 1e100);
    assert_int_equal(settings_policy(self, "strict")->on_virus, POSTERN__ACTION__ACTION_QUARANTINE);
    assert_int_equal(self->policy_count, 2);
    assert_int_equal(self->lists[0].network_count, 1);
    assert_string_equal(self->lists[1].entries[1], "x@good.org");
    assert_int_equal(self->lists[1].kind, LIST_ALLOW);
    assert_int_equal(self->message_max, 20 << 20);
    assert_true(self->greylist &&
                network_contains(self->xclient, self->xclient_count, "127.9.9.9"));
    struct settings *second = settings_retain(self);
    settings_release(&self);
    assert_string_equal(second->revision, "7");
    settings_release(&second);
}

static void expect_stages(const struct settings *self, const char *name, unsigned ingress,
                          unsigned analyzer, unsigned delivery)
{
    struct settings_stages stages = settings_stages(self, name);
    assert_int_equal(stages.ingress, ingress);
    assert_int_equal(stages.analyzer, analyzer);
    assert_int_equal(stages.delivery, delivery);
}

static void test_a_workers_own_counts_come_before_those_of_all(void **state)
{
    (void)state;
    struct settings *self =
        parse("{\"revision\":\"1\",\"documents\":{\"stages\":{\"analyzer\":2,\"delivery\":5},"
              "\"node/big\":{\"key\":\"0000000000000000000000000000000000000001\",\"analyzer\":8},"
              "\"node/idle\":{\"key\":\"0000000000000000000000000000000000000002\",\"ingress\":0,"
              "\"analyzer\":0,\"delivery\":0,\"formerly\":[\"lazy\"]}}}");
    expect_stages(self, "big", 1, 8, 5);
    expect_stages(self, "idle", 0, 0, 0);
    expect_stages(self, "lazy", 0, 0, 0); // its node.conf may not have followed
    expect_stages(self, "unknown", 1, 2, 5);
    settings_release(&self);
}

static void test_bad_trees_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *error;
    } rows[] = {
        {"{\"documents\":{}}", "revision: it is missing"},
        {"{\"revision\":3,\"documents\":{}}", "revision: it is missing"},
        {"{\"revision\":\"3\"}", "tree: it has"},
        {"{\"revision\":\"3\",\"documents\":{},\"more\":1}", "tree: it has"},
        {"{\"revision\":\"3\",\"documents\":[]}", "documents: they are missing"},
        {"{\"revision\":\"3\",\"documents\":{\"stages\":{\"ingress\":-1}}}",
         "stages.ingress: it is out of range"},
        {"[]", "revision: it is missing"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char error[512] = "";
        assert_null(settings_parse(rows[i].json, strlen(rows[i].json), error, sizeof(error)));
        if (strncmp(error, rows[i].error, strlen(rows[i].error)) != 0)
            fail_msg("%s gave %s", rows[i].json, error);
    }
}

static void test_networks(void **state)
{
    (void)state;
    static const struct {
        const char *network, *address;
        int within; // -1: no network
    } rows[] = {
        {"10.0.0.0/8", "10.255.0.1", 1},
        {"10.1.2.3/8", "10.255.0.1", 1},
        {"10.0.0.0/8", "11.0.0.0", 0},
        {"192.0.2.128/25", "192.0.2.127", 0},
        {"192.0.2.128/25", "192.0.2.129", 1},
        {"0.0.0.0/0", "203.0.113.1", 1},
        {"0.0.0.0/0", "2001:db8::1", 0},
        {"::1", "::1", 1},
        {"::1", "::2", 0},
        {"2001:db8::/33", "2001:db8:7fff::", 1},
        {"2001:db8::/33", "2001:db8:8000::", 0},
        {"127.0.0.1", "::ffff:127.0.0.1", 1},
        {"127.0.0.1", "nonsense", 0},
        {"127.0.0.1/33", "", -1},
        {"::/129", "", -1},
        {"10.0.0.0/", "", -1},
        {"10.0.0.0/-1", "", -1},
        {"10.0.0", "", -1},
        {"", "", -1},
        {"host", "", -1},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct network network;
        int parsed = network_parse(rows[i].network, &network);
        assert_int_equal(parsed, rows[i].within < 0 ? -1 : 0);
        if (parsed == 0 && network_contains(&network, 1, rows[i].address) != rows[i].within)
            fail_msg("%s in %s", rows[i].address, rows[i].network);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_tree_has_all_defaults),
        cmocka_unit_test(test_a_tree_is_read),
        cmocka_unit_test(test_a_workers_own_counts_come_before_those_of_all),
        cmocka_unit_test(test_bad_trees_are_refused),
        cmocka_unit_test(test_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
