// SPDX-License-Identifier: Apache-2.0
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/bus/join.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct refusal {
    char *text;
    size_t size;
};

static enum join_outcome refuse(const struct refusal *refusal, const char *what, const char *why)
{
    snprintf(refusal->text, refusal->size, "%s: %s", what, why);
    return JOIN_FAILED;
}

// From where the option says. NULL with errno. The caller wipes and frees it.
static char *read_text(const char *option)
{
    size_t size;
    if (option[0] == '@')
        return file_read(option + 1, TOKEN_TEXT_MOST, &size);
    if (strcmp(option, "-") != 0)
        return duplicate(option);
    char *text = allocate(TOKEN_TEXT_MOST + 1);
    size = fread(text, 1, TOKEN_TEXT_MOST, stdin);
    text[size] = 0;
    return text;
}

static Postern__JoinToken *read_token(const char *option, const struct refusal *refusal)
{
    char *text = read_text(option);
    if (!text) {
        refuse(refusal, option + 1, strerror(errno));
        return NULL;
    }
    Postern__JoinToken *token = token_decode(text, refusal->text, refusal->size);
    OPENSSL_cleanse(text, strlen(text));
    free(text);
    return token;
}

static void set(char *field, size_t size, const char *given)
{
    if (given)
        snprintf(field, size, "%s", given);
}

// node.conf as it is, or as it would be on a machine that has none.
static int read_conf(const struct join_options *options, const char *role, struct nodeconf *ret,
                     const struct refusal *refusal)
{
    if (access(options->config, F_OK) == 0)
        return nodeconf_read(ret, options->config, options->state, options->run, refusal->text,
                             refusal->size);
    return nodeconf_default(ret, role, options->state, options->run, refusal->text, refusal->size);
}

static void add_options(const struct join_options *options, struct nodeconf *conf)
{
    set(conf->name, sizeof(conf->name), options->name);
    set(conf->site, sizeof(conf->site), options->site);
    set(conf->https, sizeof(conf->https), options->https);
    set(conf->smtp[0], sizeof(conf->smtp[0]), options->smtp);
    if (options->smtp)
        conf->smtp_count = 1;
    if (strcmp(conf->role, "worker") == 0 && conf->smtp_count == 0)
        set(conf->smtp[conf->smtp_count++], sizeof(conf->smtp[0]), "0.0.0.0:25");
}

// Durable before anybody hears of them.
static int make_keys(const struct nodeconf *conf, struct curve_keys *ret,
                     const struct refusal *refusal)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/node.key", conf->keys);
    if (file_make_folders(conf->keys, 0700) == 0 &&
        (curve_keys_read(path, ret) == 0 || (errno == ENOENT && curve_keys_make(path, ret) == 0)))
        return 0;
    refuse(refusal, path, strerror(errno));
    return -1;
}

static enum join_outcome join_with(const struct join_options *options,
                                   const Postern__JoinToken *token, struct nodeconf *conf,
                                   const struct refusal *refusal)
{
    struct curve_keys keys;
    struct join_result result;
    if (make_keys(conf, &keys, refusal) < 0)
        return JOIN_FAILED;
    int rc = join_cluster(token, &keys, conf, &result, refusal->text, refusal->size);
    curve_keys_wipe(&keys);
    if (rc < 0)
        return JOIN_FAILED;
    if (*result.warning)
        log_warning("join.warned", "warning=\"%s\"", result.warning);
    memcpy(conf->name, result.name, sizeof(conf->name));
    memcpy(conf->masters, result.masters, sizeof(conf->masters));
    conf->master_count = result.master_count;
    if (nodeconf_write(conf, options->config) < 0)
        return refuse(refusal, options->config, strerror(errno));
    return JOIN_DONE;
}

static enum join_outcome refuse_role(const Postern__JoinToken *token, const char *role,
                                     const struct refusal *refusal)
{
    snprintf(refusal->text, refusal->size, "this token is for a %.*s, this is a %s; make another",
             (int)token->role.len, (const char *)token->role.data, role);
    return JOIN_FAILED;
}

enum join_outcome join_node(const struct join_options *options, struct nodeconf *ret_conf,
                            char *ret_error, size_t error_size)
{
    const struct refusal refusal = {ret_error, error_size};
    char role[16];
    if (read_conf(options, options->role ? options->role : "worker", ret_conf, &refusal) < 0)
        return JOIN_FAILED;
    if (ret_conf->master_count > 0)
        return JOIN_BEFORE;
    Postern__JoinToken *token = read_token(options->token, &refusal);
    if (!token)
        return JOIN_FAILED;
    snprintf(role, sizeof(role), "%.*s", (int)token->role.len, (const char *)token->role.data);
    enum join_outcome outcome = JOIN_FAILED;
    if ((options->role && strcmp(options->role, role) != 0) ||
        (access(options->config, F_OK) == 0 && strcmp(ret_conf->role, role) != 0)) {
        outcome = refuse_role(token, options->role ? options->role : ret_conf->role, &refusal);
    } else if (read_conf(options, role, ret_conf, &refusal) == 0) {
        add_options(options, ret_conf);
        outcome = join_with(options, token, ret_conf, &refusal);
    }
    token_free(&token);
    return outcome;
}
