// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a server is: an address that needs no name to be looked up.
#include <sys/socket.h>

struct endpoint {
    struct sockaddr_storage address;
    socklen_t size;
    char host[64];  // the IP address, "" of a Unix socket
    char text[144]; // as "192.0.2.1:6379", "[2001:db8::1]:6379" or "unix:/PATH", for the log
};

// The same text form. -1: it is none.
int endpoint_parse(struct endpoint *ret, const char *text);
// An IP address, without brackets, and a port. -1: it is none.
int endpoint_of(struct endpoint *ret, const char *host, long port);
int endpoint_same(const struct endpoint *a, const struct endpoint *b);
