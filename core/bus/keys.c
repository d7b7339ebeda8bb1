// SPDX-License-Identifier: Apache-2.0
#include "core/bus/keys.h"
#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum { LINE = 41, FILE_SIZE = 2 * LINE }; // 40 characters of Z85 and the line end

int curve_key_published(const char *key)
{
    static const char *const published[] = {
        "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
        "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs",
        "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
        "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(published); i++)
        if (strcmp(key, published[i]) == 0)
            return 1;
    return 0;
}

int curve_keys_make(const char *path, struct curve_keys *ret)
{
    struct curve_keys made;
    char text[FILE_SIZE + 1];
    if (zmq_curve_keypair(made.public_key, made.secret_key) < 0)
        return -1;
    snprintf(text, sizeof(text), "%s\n%s\n", made.public_key, made.secret_key);
    int rc = file_write_atomic(path, text, FILE_SIZE, 0600);
    if (rc == 0)
        *ret = made;
    OPENSSL_cleanse(text, sizeof(text));
    curve_keys_wipe(&made);
    return rc;
}

// Two lines of Z85 that belong together.
static int parse(char text[FILE_SIZE], struct curve_keys *ret)
{
    char derived[LINE];
    if (text[LINE - 1] != '\n' || text[FILE_SIZE - 1] != '\n') {
        errno = EINVAL;
        return -1;
    }
    text[LINE - 1] = text[FILE_SIZE - 1] = '\0';
    const char *public_key = text, *secret_key = text + LINE;
    if (curve_key_published(secret_key) || curve_key_published(public_key)) {
        errno = EKEYREJECTED;
        return -1;
    }
    if (strlen(secret_key) != LINE - 1 || zmq_curve_public(derived, secret_key) < 0 ||
        strcmp(derived, public_key) != 0) {
        errno = EINVAL;
        return -1;
    }
    memcpy(ret->public_key, public_key, LINE);
    memcpy(ret->secret_key, secret_key, LINE);
    return 0;
}

static int read_private(int fd, char text[FILE_SIZE])
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -1;
    if (status.st_mode & (S_IRWXG | S_IRWXO)) {
        errno = EPERM;
        return -1;
    }
    ssize_t got = status.st_size == FILE_SIZE ? read(fd, text, FILE_SIZE) : 0;
    if (got < 0)
        return -1;
    if (got != FILE_SIZE) {
        errno = EINVAL;
        return -1;
    }
    return 0;
}

int curve_keys_read(const char *path, struct curve_keys *ret)
{
    char text[FILE_SIZE];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    int rc = read_private(fd, text);
    if (rc == 0)
        rc = parse(text, ret);
    int failure = errno;
    close(fd);
    OPENSSL_cleanse(text, sizeof(text));
    errno = failure;
    return rc;
}

void curve_keys_wipe(struct curve_keys *self)
{
    OPENSSL_cleanse(self, sizeof(*self));
}
