// SPDX-License-Identifier: Apache-2.0
#include "core/base/file.h"
#include "core/base/nodeconf.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY_TEXT "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf#"

static char path[64];

static int read_text(const char *text, struct nodeconf *ret, char *error, size_t size)
{
    snprintf(path, sizeof(path), "/tmp/postern-nodeconf-%ld", (long)getpid());
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0600), 0);
    int result = nodeconf_read(ret, path, NULL, NULL, error, size);
    unlink(path);
    return result;
}

static void a_full_file_is_read(void **state)
{
    (void)state;
    struct nodeconf conf;
    char error[512] = "";
    int result = read_text("# a worker\n"
                           "name = mx1\n"
                           "site = dc1\n"
                           "hostname = mx1.example.org\n"
                           "run = /tmp/run\n"
                           "smtp = 0.0.0.0:25\n"
                           "smtp = [::]:25\n"
                           "master\n"
                           "    name = a\n"
                           "    control = tcp://192.0.2.1:7701\n"
                           "    publish = tcp://192.0.2.1:7702\n"
                           "    events = tcp://[2001:db8::1]:7703\n"
                           "    key = \"" KEY_TEXT "\"\n",
                           &conf, error, sizeof(error));
    assert_string_equal(error, "");
    assert_int_equal(result, 0);
    assert_string_equal(conf.name, "mx1");
    assert_string_equal(conf.role, "worker");
    assert_string_equal(conf.state, "/var/lib/postern");
    assert_string_equal(conf.keys, "/var/lib/postern/keys");
    assert_string_equal(conf.run, "/tmp/run");
    assert_string_equal(conf.metrics, "127.0.0.1:7754");
    assert_int_equal(conf.smtp_count, 2);
    assert_string_equal(conf.smtp[1], "[::]:25");
    assert_int_equal(conf.master_count, 1);
    assert_string_equal(conf.masters[0].key, KEY_TEXT);
    assert_string_equal(conf.masters[0].events, "tcp://[2001:db8::1]:7703");
}

static void a_master_binds_by_default(void **state)
{
    (void)state;
    struct nodeconf conf;
    char error[512] = "";
    assert_int_equal(read_text("role = master\nbind\n    control = tcp://*:17701\n", &conf, error,
                               sizeof(error)),
                     0);
    assert_string_equal(conf.bind_control, "tcp://*:17701");
    assert_string_equal(conf.bind_events, "tcp://*:7703");
    assert_string_equal(conf.metrics, "127.0.0.1:7744");
}

static void an_error_names_the_key_and_the_mend(void **state)
{
    (void)state;
    static const struct {
        const char *text, *key, *mend;
    } cases[] = {
        {"smpt = 0.0.0.0:25\n", "smpt", "no such key"},
        {"smtp = 0.0.0.0\n", "smtp", "HOST:PORT"},
        {"smtp = ::1:25\n", "smtp", "[IPv6]:PORT"},
        {"smtp = 0.0.0.0:66000\n", "smtp", "HOST:PORT"},
        {"role = king\n", "role", "worker or master"},
        {"name = a\nname = b\n", "name", "twice"},
        {"name = a/../b\n", "name", "letters"},
        {"state = relative\n", "state", "absolute"},
        {"log-level = loud\n", "log-level", "debug"},
        {"master\n    name = a\n", "master/control", "missing"},
        {"master\n    key = short\n", "key", "40 characters"},
        {"master\n    pinned = no\n", "pinned", "write yes"},
        {"run = "
         "/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
         "890123\n",
         "run", "107 bytes"},
        {"state = "
         "/01234567890123456789012345678901234567890123456789012345678901234567890123456789012\n",
         "state", "83 bytes"},
        {"   bad = indentation\n", "ZPL", "blanks"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct nodeconf conf;
        char error[512] = "";
        assert_int_equal(read_text(cases[i].text, &conf, error, sizeof(error)), -1);
        assert_non_null(strstr(error, path));
        assert_non_null(strstr(error, cases[i].key));
        assert_non_null(strstr(error, cases[i].mend));
    }
}

static void the_command_line_overrides_and_is_checked_too(void **state)
{
    (void)state;
    struct nodeconf conf;
    char error[512] = "";
    assert_int_equal(
        nodeconf_read(&conf, "/nonexistent/node.conf", NULL, NULL, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "--config"));
    assert_int_equal(nodeconf_read(&conf, "/dev/null", "/tmp/s", "/tmp/r", error, sizeof(error)),
                     0);
    assert_string_equal(conf.state, "/tmp/s");
    assert_string_equal(conf.run, "/tmp/r");
    assert_int_equal(nodeconf_read(&conf, "/dev/null", "s", NULL, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "--state"));
}

static void what_was_written_is_read_again(void **state)
{
    (void)state;
    struct nodeconf conf, again;
    char error[512] = "", file[96], reached[128];
    static const char text[] =
        "name = m\nrole = master\nsite = a # b\nsmtp = 0.0.0.0:25\nhostname = m.example.org\n"
        "https = [::1]:7743\nmaster\n    name = b\n    control = tcp://b:7701\n"
        "    publish = tcp://b:7702\n    events = tcp://b:7703\n    key = \"" KEY_TEXT
        "\"\n    pinned = yes\n"
        "bind\n    enrol = tcp://127.0.0.1:7000\n";
    assert_int_equal(read_text(text, &conf, error, sizeof(error)), 0);
    snprintf(file, sizeof(file), "/tmp/postern-nodeconf-%ld-new/node.conf", (long)getpid());
    assert_int_equal(nodeconf_write(&conf, file), 0);
    assert_int_equal(nodeconf_read(&again, file, NULL, NULL, error, sizeof(error)), 0);
    assert_memory_equal(&conf, &again, sizeof(conf));
    unlink(file);
    file[strlen(file) - strlen("/node.conf")] = 0;
    rmdir(file);
    nodeconf_reach(&conf, conf.bind_enrol, reached);
    assert_string_equal(reached, "tcp://127.0.0.1:7000");
    nodeconf_reach(&conf, conf.bind_control, reached);
    assert_string_equal(reached, "tcp://m.example.org:7701");
}

static void without_a_file_there_are_defaults(void **state)
{
    (void)state;
    struct nodeconf conf;
    char error[512] = "";
    assert_int_equal(nodeconf_default(&conf, "worker", "/tmp/s", "/tmp/r", error, sizeof(error)),
                     0);
    assert_string_equal(conf.keys, "/tmp/s/keys");
    assert_string_equal(conf.role, "worker");
    assert_true(conf.name[0] && conf.master_count == 0);
    assert_int_equal(nodeconf_default(&conf, "worker", "s", NULL, error, sizeof(error)), -1);
}

static void reading_installs_no_signal_handlers(void **state)
{
    (void)state;
    struct sigaction action;
    sigaction(SIGTERM, NULL, &action);
    assert_ptr_equal(action.sa_handler, SIG_DFL);
    sigaction(SIGINT, NULL, &action);
    assert_ptr_equal(action.sa_handler, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_file_is_read),
        cmocka_unit_test(a_master_binds_by_default),
        cmocka_unit_test(an_error_names_the_key_and_the_mend),
        cmocka_unit_test(the_command_line_overrides_and_is_checked_too),
        cmocka_unit_test(what_was_written_is_read_again),
        cmocka_unit_test(without_a_file_there_are_defaults),
        cmocka_unit_test(reading_installs_no_signal_handlers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
