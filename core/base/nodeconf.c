// SPDX-License-Identifier: Apache-2.0
#include "core/base/nodeconf.h"
#include "core/base/file.h"

#include <czmq.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MOST = 64 * 1024, SOCKET_PATH_MOST = 107, SLOT_STATE_MOST = 83 };

// The longest name that is made under run/: a socket that hands out descriptors.
enum { LONGEST_SOCKET = sizeof("/ingress/63.fd") - 1 };

enum kind {
    KIND_WORD,
    KIND_HOST,
    KIND_ROLE,
    KIND_FOLDER,
    KIND_ADDRESS,
    KIND_ENDPOINT,
    KIND_KEY,
    KIND_LEVEL,
    KIND_YES
};

struct key {
    const char *name;
    enum kind kind;
    size_t offset, size;
};

#define KEY(field) offsetof(struct nodeconf, field), sizeof(((struct nodeconf *)0)->field)
#define MASTER_KEY(field)                                                                          \
    offsetof(struct master_address, field), sizeof(((struct master_address *)0)->field)

// Everything that may stand in the file, besides the sections `master` and `bind`, and `smtp`,
// which may be repeated.
static const struct key keys[] = {
    {"name", KIND_WORD, KEY(name)},          {"site", KIND_WORD, KEY(site)},
    {"role", KIND_ROLE, KEY(role)},          {"state", KIND_FOLDER, KEY(state)},
    {"run", KIND_FOLDER, KEY(run)},          {"keys", KIND_FOLDER, KEY(keys)},
    {"smtps", KIND_ADDRESS, KEY(smtps)},     {"hostname", KIND_HOST, KEY(hostname)},
    {"metrics", KIND_ADDRESS, KEY(metrics)}, {"log-level", KIND_LEVEL, KEY(log_level)},
    {"https", KIND_ADDRESS, KEY(https)},
};

static const struct key master_keys[] = {
    {"name", KIND_WORD, MASTER_KEY(name)},
    {"control", KIND_ENDPOINT, MASTER_KEY(control)},
    {"publish", KIND_ENDPOINT, MASTER_KEY(publish)},
    {"events", KIND_ENDPOINT, MASTER_KEY(events)},
    {"key", KIND_KEY, MASTER_KEY(key)},
    {"pinned", KIND_YES, MASTER_KEY(pinned)},
};

static const struct key bind_keys[] = {
    {"control", KIND_ENDPOINT, KEY(bind_control)}, {"publish", KIND_ENDPOINT, KEY(bind_publish)},
    {"events", KIND_ENDPOINT, KEY(bind_events)},   {"public", KIND_ENDPOINT, KEY(bind_public)},
    {"enrol", KIND_ENDPOINT, KEY(bind_enrol)},
};

struct reading {
    const char *path;
    char *error;
    size_t error_size;
};

PRINTF(2, 3) static int refuse(const struct reading *reading, const char *format, ...)
{
    int length = snprintf(reading->error, reading->error_size, "%s: ", reading->path);
    if (length >= 0 && (size_t)length < reading->error_size) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(reading->error + length, reading->error_size - (size_t)length, format, arguments);
        va_end(arguments);
    }
    errno = EINVAL;
    return -1;
}

static int is_port(const char *text)
{
    char *end;
    unsigned long port = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    return port >= 1 && port <= 65535 && !*end;
}

static int is_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || !is_port(colon + 1))
        return 0;
    // An IPv6 address without brackets cannot be told from host:port.
    return *text == '[' ? colon[-1] == ']' : colon == strchr(text, ':');
}

static int is_word(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
    return size > 0 && !text[size];
}

static int is_one_of(const char *text, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(text, names[i]))
            return 1;
    return 0;
}

// What is wrong with the value, and how it should look; NULL when it is right.
static const char *complaint(enum kind kind, const char *text)
{
    static const char *const roles[] = {"worker", "master"};
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    switch (kind) {
    case KIND_WORD:
        return is_word(text) ? NULL : "write letters, digits, '.', '-' and '_' only";
    case KIND_HOST:
        return is_word(text) ? NULL : "write a host name such as mx1.example.org";
    case KIND_ROLE:
        return is_one_of(text, roles, ARRAY_LENGTH(roles)) ? NULL : "write worker or master";
    case KIND_FOLDER:
        return text[0] == '/' ? NULL : "write an absolute path";
    case KIND_ADDRESS:
        return is_address(text) ? NULL : "write HOST:PORT or [IPv6]:PORT";
    case KIND_ENDPOINT:
        return !strncmp(text, "tcp://", 6) && is_address(text + 6) ? NULL : "write tcp://HOST:PORT";
    case KIND_KEY:
        return strlen(text) == 40 ? NULL
                                  : "write the 40 characters of the CURVE public key, in quotes";
    case KIND_LEVEL:
        return is_one_of(text, levels, ARRAY_LENGTH(levels))
                   ? NULL
                   : "write debug, info, warning or error";
    case KIND_YES:
        return !strcmp(text, "yes") ? NULL : "write yes, or remove it";
    }
    return NULL;
}

static int set_value(const struct reading *reading, const struct key *key, const char *text,
                     char *field)
{
    const char *wrong = complaint(key->kind, text);
    if (wrong)
        return refuse(reading, "%s = %.100s: %s", key->name, text, wrong);
    if (*field)
        return refuse(reading, "%s: stands there twice, remove one", key->name);
    if (strlen(text) >= key->size)
        return refuse(reading, "%s: longer than %zu characters, shorten it", key->name,
                      key->size - 1);
    memcpy(field, text, strlen(text) + 1);
    return 0;
}

static int set_key(const struct reading *reading, zconfig_t *entry, const struct key *table,
                   size_t count, void *target)
{
    const char *name = zconfig_name(entry);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(name, table[i].name))
            return set_value(reading, &table[i], zconfig_value(entry),
                             (char *)target + table[i].offset);
    return refuse(reading, "%s: no such key, remove it or correct its name", name);
}

static int read_section(const struct reading *reading, zconfig_t *section, const struct key *table,
                        size_t count, void *target)
{
    for (zconfig_t *entry = zconfig_child(section); entry; entry = zconfig_next(entry))
        if (set_key(reading, entry, table, count, target) < 0)
            return -1;
    return 0;
}

static int read_master(const struct reading *reading, zconfig_t *section, struct nodeconf *conf)
{
    if (conf->master_count == MASTERS_MOST)
        return refuse(reading, "master: more than %d sections, remove one", MASTERS_MOST);
    struct master_address *master = &conf->masters[conf->master_count];
    if (read_section(reading, section, master_keys, ARRAY_LENGTH(master_keys), master) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LENGTH(master_keys); i++)
        if (master_keys[i].kind != KIND_YES && !((const char *)master)[master_keys[i].offset])
            return refuse(reading, "master/%s: missing, add it", master_keys[i].name);
    conf->master_count++;
    return 0;
}

static int read_smtp(const struct reading *reading, const char *text, struct nodeconf *conf)
{
    const struct key key = {"smtp", KIND_ADDRESS, 0, sizeof(conf->smtp[0])};
    if (conf->smtp_count == ARRAY_LENGTH(conf->smtp))
        return refuse(reading, "smtp: more than %zu addresses, remove some",
                      ARRAY_LENGTH(conf->smtp));
    if (set_value(reading, &key, text, conf->smtp[conf->smtp_count]) < 0)
        return -1;
    conf->smtp_count++;
    return 0;
}

static int read_root(const struct reading *reading, zconfig_t *root, struct nodeconf *conf)
{
    for (zconfig_t *entry = zconfig_child(root); entry; entry = zconfig_next(entry)) {
        const char *name = zconfig_name(entry);
        int result;
        if (!strcmp(name, "master"))
            result = read_master(reading, entry, conf);
        else if (!strcmp(name, "bind"))
            result = read_section(reading, entry, bind_keys, ARRAY_LENGTH(bind_keys), conf);
        else if (!strcmp(name, "smtp"))
            result = read_smtp(reading, zconfig_value(entry), conf);
        else
            result = set_key(reading, entry, keys, ARRAY_LENGTH(keys), conf);
        if (result < 0)
            return -1;
    }
    return 0;
}

static int override_folder(const struct reading *reading, char *field, size_t size,
                           const char *option, const char *given, const char *fallback)
{
    if (!given && *field)
        return 0;
    const char *text = given ? given : fallback;
    if (text[0] != '/')
        return refuse(reading, "%s %.100s: write an absolute path", option, text);
    if (strlen(text) >= size)
        return refuse(reading, "%s: longer than %zu characters, choose a shorter path", option,
                      size - 1);
    memcpy(field, text, strlen(text) + 1);
    return 0;
}

static void fall_back(char *field, size_t size, const char *text)
{
    if (!*field)
        snprintf(field, size, "%s", text);
}

static void fill_defaults(struct nodeconf *conf)
{
    char host[256] = "localhost";
    gethostname(host, sizeof(host) - 1);
    fall_back(conf->hostname, sizeof(conf->hostname), host);
    host[strcspn(host, ".")] = 0;
    host[sizeof(conf->name) - 1] = 0;
    fall_back(conf->name, sizeof(conf->name), host);
    fall_back(conf->role, sizeof(conf->role), "worker");
    fall_back(conf->log_level, sizeof(conf->log_level), "info");
    int master = !strcmp(conf->role, "master");
    fall_back(conf->metrics, sizeof(conf->metrics), master ? "127.0.0.1:7744" : "127.0.0.1:7754");
    if (!master)
        return;
    fall_back(conf->bind_control, sizeof(conf->bind_control), "tcp://*:7701");
    fall_back(conf->bind_publish, sizeof(conf->bind_publish), "tcp://*:7702");
    fall_back(conf->bind_events, sizeof(conf->bind_events), "tcp://*:7703");
    fall_back(conf->bind_public, sizeof(conf->bind_public), "tcp://*:7704");
    fall_back(conf->bind_enrol, sizeof(conf->bind_enrol), "tcp://*:7700");
}

static int check_folders(const struct reading *reading, struct nodeconf *conf)
{
    size_t run_most = SOCKET_PATH_MOST - LONGEST_SOCKET;
    if (strlen(conf->run) > run_most)
        return refuse(reading,
                      "run = %s: socket paths would exceed %d bytes, choose one of at most %zu",
                      conf->run, SOCKET_PATH_MOST, run_most);
    if (strlen(conf->state) > SLOT_STATE_MOST)
        return refuse(reading, "state = %s: too long, choose one of at most %d bytes", conf->state,
                      SLOT_STATE_MOST);
    if (!*conf->keys)
        snprintf(conf->keys, sizeof(conf->keys), "%.*s/keys", SLOT_STATE_MOST, conf->state);
    return 0;
}

// What is wrong with which line, zconfig itself says on stderr.
static zconfig_t *parse(const struct reading *reading)
{
    size_t size;
    char *text = file_read(reading->path, FILE_MOST, &size);
    if (!text) {
        refuse(reading, "cannot be read: %s; join a cluster first or name the file with --config",
               strerror(errno));
        return NULL;
    }
    zconfig_t *root = strlen(text) == size ? zconfig_str_load(text) : NULL;
    if (!root)
        refuse(reading,
               "is not ZPL: write 'key = value' lines, those of a section indented by 4 blanks");
    free(text);
    return root;
}

static int complete(const struct reading *reading, struct nodeconf *conf, const char *state,
                    const char *run, struct nodeconf *ret)
{
    if (override_folder(reading, conf->state, sizeof(conf->state), "--state", state,
                        "/var/lib/postern") < 0 ||
        override_folder(reading, conf->run, sizeof(conf->run), "--run", run, "/run/postern") < 0 ||
        check_folders(reading, conf) < 0)
        return -1;
    fill_defaults(conf);
    *ret = *conf;
    return 0;
}

int nodeconf_read(struct nodeconf *ret, const char *path, const char *state, const char *run,
                  char *ret_error, size_t error_size)
{
    zsys_handler_set(NULL); // signals are the loop's, not CZMQ's
    const struct reading reading = {path, ret_error, error_size};
    struct nodeconf conf = {.name = ""};
    zconfig_t *root = parse(&reading);
    if (!root)
        return -1;
    int result = read_root(&reading, root, &conf);
    zconfig_destroy(&root);
    return result < 0 ? -1 : complete(&reading, &conf, state, run, ret);
}

int nodeconf_default(struct nodeconf *ret, const char *role, const char *state, const char *run,
                     char *ret_error, size_t error_size)
{
    const struct reading reading = {"node.conf", ret_error, error_size};
    struct nodeconf conf = {.name = ""};
    snprintf(conf.role, sizeof(conf.role), "%s", role);
    return complete(&reading, &conf, state, run, ret);
}
