// SPDX-License-Identifier: Apache-2.0
#include "ingress/shared_redis.h"
#include "core/base/buffer.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/net/redis.h"
#include "core/net/tls.h"
#include "mail/settings.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

enum { PASSWORD_MOST = 4096 };

// What was read from files for one connection.
struct secrets {
    char *password, *sentinel_password;
    struct tls *tls;
};

// The first line of the file. 0; -1 with the reason in the log. No file: no password.
static int read_password(const char *path, char **ret)
{
    size_t size;
    if (!path)
        return 0;
    char *text = file_read(path, PASSWORD_MOST, &size);
    if (!text) {
        log_error("redis.unusable", "password_file=%s errno=%d", path, errno);
        return -1;
    }
    text[strcspn(text, "\r\n")] = 0;
    *ret = text;
    return 0;
}

static int read_authorities(const char *path, struct tls **ret)
{
    char error[256];
    if (!path || (*ret = tls_client_new(path, error, sizeof(error))))
        return 0;
    log_error("redis.unusable", "reason=\"%s\"", error);
    return -1;
}

static void wipe(char *password)
{
    if (password)
        OPENSSL_cleanse(password, strlen(password));
    free(password);
}

static struct redis *connect_with(struct loop *loop, const struct settings *settings,
                                  const struct secrets *secrets)
{
    struct sentinel_options sentinels = {
        .addresses = (const char *const *)settings->redis_sentinels,
        .address_count = settings->redis_sentinel_count,
        .master_name = settings->redis_master_name,
        .login = {settings->redis_sentinel_user, secrets->sentinel_password, secrets->tls,
                  settings->redis_host},
    };
    struct redis_options options = {
        .loop = loop,
        .address = settings->redis,
        .login = {settings->redis_user, secrets->password, secrets->tls, settings->redis_host},
        .sentinels = settings->redis_sentinels ? &sentinels : NULL,
    };
    struct redis *redis = redis_new(&options);
    if (!redis)
        log_error("redis.unusable", "errno=%d", errno);
    return redis;
}

struct redis *shared_redis_new(struct loop *loop, const struct settings *settings)
{
    struct secrets secrets = {0};
    struct redis *redis = NULL;
    if (read_authorities(settings->redis_authorities, &secrets.tls) == 0 &&
        read_password(settings->redis_password_file, &secrets.password) == 0 &&
        read_password(settings->redis_sentinel_password_file, &secrets.sentinel_password) == 0)
        redis = connect_with(loop, settings, &secrets);
    wipe(secrets.password);
    wipe(secrets.sentinel_password);
    tls_release(&secrets.tls);
    return redis;
}

char *shared_redis_text(const struct settings *settings)
{
    const char *const parts[] = {
        settings->redis,
        settings->redis_master_name,
        settings->redis_user,
        settings->redis_password_file,
        settings->redis_authorities,
        settings->redis_host,
        settings->redis_sentinel_user,
        settings->redis_sentinel_password_file,
    };
    struct buffer text;
    if (!settings->redis && !settings->redis_sentinels)
        return NULL;
    buffer_init(&text);
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
        buffer_printf(&text, "%s\n", parts[i] ? parts[i] : "");
    for (size_t i = 0; i < settings->redis_sentinel_count; i++)
        buffer_printf(&text, "%s\n", settings->redis_sentinels[i]);
    char *copy = duplicate_bytes(buffer_bytes(&text), buffer_size(&text));
    buffer_free(&text);
    return copy;
}
