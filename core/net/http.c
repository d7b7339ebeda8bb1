// SPDX-License-Identifier: Apache-2.0
#include "core/net/http.h"
#include "core/base/log.h"
#include <errno.h>
#include <grp.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BODIES_MOST = 4 * HTTP_BODY_MOST }; // bytes, of all requests together
enum { CONNECTIONS_MOST = 128, TIMEOUT_S = 60, PIECE = 32 * 1024, GROUPS_MOST = 256 };

struct stream_state {
    struct http *http;
    struct MHD_Connection *connection;
    struct buffer pending;
    http_more_fn *more;
    void (*release)(void *context);
    void *context;
    int ended;
    struct stream_state *next; // that waits, too
};

struct http {
    struct MHD_Daemon *daemon;
    http_fn *fn;
    void *context;
    int local;     // a Unix socket: peers are checked
    size_t bodies; // bytes held; of the daemon's thread
    pthread_mutex_t lock;
    struct stream_state *waiting;
};

struct request {
    struct http *http;
    struct MHD_Connection *connection;
    char *method, *path;
    char author[80];
    struct buffer body;
    int too_big, too_many, handled, put_off;
    unsigned status;
    struct MHD_Response *response;
};

const char *request_method(const struct request *self)
{
    return self->method;
}

const char *request_path(const struct request *self)
{
    return self->path;
}

const char *request_argument(const struct request *self, const char *name)
{
    return MHD_lookup_connection_value(self->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *request_header(const struct request *self, const char *name)
{
    return MHD_lookup_connection_value(self->connection, MHD_HEADER_KIND, name);
}

struct span request_body(const struct request *self)
{
    return (struct span){buffer_bytes(&self->body), buffer_size(&self->body)};
}

const char *request_author(const struct request *self)
{
    return self->author;
}

static void set_response(struct request *self, unsigned status, const char *type,
                         struct MHD_Response *response)
{
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    self->status = status;
    self->response = response;
    if (self->put_off)
        MHD_resume_connection(self->connection);
}

void request_answer(struct request *self, unsigned status, const char *type, const void *body,
                    size_t size)
{
    set_response(self, status, type,
                 MHD_create_response_from_buffer(size, (void *)body, MHD_RESPMEM_MUST_COPY));
}

void request_answer_json(struct request *self, unsigned status, json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(value);
    size_t size = text ? strlen(text) : 0;
    text = reallocate(text, size + 1);
    text[size] = '\n'; // for who reads it in a terminal
    set_response(self, status, "application/json",
                 MHD_create_response_from_buffer(size + 1, text, MHD_RESPMEM_MUST_FREE));
}

void request_refuse(struct request *self, unsigned status, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    json_t *value = json_string(text); // NULL when a peer's bytes in it are not UTF-8
    request_answer_json(self, status,
                        json_pack("{s:o}", "error", value ? value : json_string("bad request")));
}

void request_put_off(struct request *self)
{
    self->put_off = 1;
    MHD_suspend_connection(self->connection);
}

static ssize_t read_stream(void *context, uint64_t position, char *bytes, size_t most)
{
    (void)position;
    struct stream_state *self = context;
    if (buffer_size(&self->pending) == 0 && !self->ended) {
        enum http_more more = self->more(self->context, &self->pending);
        self->ended = more == HTTP_END;
        if (more == HTTP_WAIT && buffer_size(&self->pending) == 0) {
            pthread_mutex_lock(&self->http->lock);
            self->next = self->http->waiting;
            self->http->waiting = self;
            MHD_suspend_connection(self->connection);
            pthread_mutex_unlock(&self->http->lock);
            return 0;
        }
        // Others take their turn. Nothing but a resumed connection is asked again after a 0.
        if (more == HTTP_MORE && buffer_size(&self->pending) == 0) {
            MHD_suspend_connection(self->connection);
            MHD_resume_connection(self->connection);
            return 0;
        }
    }
    size_t size = buffer_size(&self->pending);
    if (size == 0)
        return self->ended ? MHD_CONTENT_READER_END_OF_STREAM : 0;
    size = size < most ? size : most;
    memcpy(bytes, buffer_bytes(&self->pending), size);
    buffer_take(&self->pending, size);
    return (ssize_t)size;
}

static void free_stream(void *context)
{
    struct stream_state *self = context;
    self->release(self->context);
    buffer_free(&self->pending);
    free(self);
}

void request_stream(struct request *self, const char *type, http_more_fn *more,
                    void (*release)(void *context), void *context)
{
    struct stream_state *stream = allocate(sizeof(*stream));
    stream->http = self->http;
    stream->connection = self->connection;
    stream->more = more;
    stream->release = release;
    stream->context = context;
    buffer_init(&stream->pending);
    set_response(self, MHD_HTTP_OK, type,
                 MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, read_stream, stream,
                                                   free_stream));
}

void http_wake(struct http *self)
{
    pthread_mutex_lock(&self->lock);
    while (self->waiting) {
        struct stream_state *stream = self->waiting;
        self->waiting = stream->next;
        MHD_resume_connection(stream->connection);
    }
    pthread_mutex_unlock(&self->lock);
}

// The group this process runs in may be the peer's first group or any other.
static int in_our_group(int fd, gid_t group)
{
    gid_t groups[GROUPS_MOST];
    socklen_t size = sizeof(groups);
    if (group == getegid())
        return 1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return 0;
    for (size_t i = 0; i < size / sizeof(groups[0]); i++)
        if (groups[i] == getegid())
            return 1;
    return 0;
}

// Who is at the other end, by the kernel's word. 0 when it may not speak to us.
static int check_peer(struct request *self)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(self->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return 0;
    char names[1024];
    struct passwd entry, *found = NULL;
    getpwuid_r(peer.uid, &entry, names, sizeof(names), &found);
    snprintf(self->author, sizeof(self->author), "%.40s (uid %u)", found ? entry.pw_name : "?",
             (unsigned)peer.uid);
    return peer.uid == 0 || peer.uid == geteuid() || in_our_group(info->connect_fd, peer.gid);
}

static struct request *request_new(struct http *http, struct MHD_Connection *connection,
                                   const char *method, const char *url)
{
    struct request *self = allocate(sizeof(*self));
    self->http = http;
    self->connection = connection;
    self->method = duplicate(method);
    self->path = duplicate(url);
    buffer_init(&self->body);
    return self;
}

static enum MHD_Result queue_answer(struct request *self)
{
    enum MHD_Result result = MHD_queue_response(self->connection, self->status, self->response);
    MHD_destroy_response(self->response);
    self->response = NULL;
    return result;
}

static void take_body(struct request *self, const char *bytes, size_t size)
{
    self->too_big |= buffer_size(&self->body) + size > HTTP_BODY_MOST;
    self->too_many |= self->http->bodies + size > BODIES_MOST;
    if (self->too_big || self->too_many)
        return;
    buffer_add(&self->body, bytes, size);
    self->http->bodies += size;
}

// Called for the header, for each piece of the body, at its end, and after a request put off was
// answered.
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **state)
{
    (void)version;
    struct http *http = context;
    struct request *request = *state;
    if (!request) {
        *state = request_new(http, connection, method, url);
        return MHD_YES;
    }
    if (*upload_size > 0) {
        take_body(request, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    if (!request->handled) {
        request->handled = 1;
        if (http->local && !check_peer(request))
            request_refuse(request, MHD_HTTP_FORBIDDEN, "%s may not use this socket",
                           request->author);
        else if (request->too_big)
            request_refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "more than %d bytes",
                           HTTP_BODY_MOST);
        else if (request->too_many)
            request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "too many requests at once");
        else
            http->fn(http->context, request);
        // Another thread answers it, perhaps at this moment. MHD calls again once it has.
        if (request->put_off)
            return MHD_YES;
    }
    return request->response ? queue_answer(request) : MHD_YES;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode how)
{
    (void)context;
    (void)connection;
    (void)how;
    struct request *request = *state;
    if (!request)
        return;
    if (request->response)
        MHD_destroy_response(request->response);
    request->http->bodies -= buffer_size(&request->body);
    buffer_free(&request->body);
    free(request->method);
    free(request->path);
    free(request);
    *state = NULL;
}

static struct http *serve(int fd, int local, http_fn *fn, void *context)
{
    struct http *self = allocate(sizeof(*self));
    self->fn = fn;
    self->context = context;
    self->local = local;
    pthread_mutex_init(&self->lock, NULL);
    self->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, self,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MOST,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, self, MHD_OPTION_END);
    if (self->daemon)
        return self;
    close(fd);
    free(self);
    errno = EIO;
    return NULL;
}

struct http *http_serve_unix(const char *path, http_fn *fn, void *context)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >=
        sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return NULL;
    unlink(path); // a dead process's: ours is the lock
    mode_t before = umask(0117);
    int bound = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(before);
    if (bound < 0 || listen(fd, SOMAXCONN) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return NULL;
    }
    return serve(fd, 1, fn, context);
}

static int listen_at(const struct addrinfo *at)
{
    int one = 1;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

struct http *http_serve_tcp(const char *address, http_fn *fn, void *context)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    char host[256];
    const char *colon = strrchr(address, ':');
    size_t length = colon ? (size_t)(colon - address) : 0;
    if (length == 0 || length >= sizeof(host)) {
        errno = EINVAL;
        return NULL;
    }
    int bracketed = address[0] == '[' && address[length - 1] == ']';
    snprintf(host, sizeof(host), "%.*s", (int)length - 2 * bracketed, address + bracketed);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
        errno = EINVAL;
        return NULL;
    }
    int fd = listen_at(found);
    freeaddrinfo(found);
    return fd < 0 ? NULL : serve(fd, 0, fn, context);
}

void http_destroy(struct http **self_p)
{
    struct http *self = *self_p;
    if (!self)
        return;
    http_wake(self);
    MHD_stop_daemon(self->daemon);
    pthread_mutex_destroy(&self->lock);
    free(self);
    *self_p = NULL;
}
