// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every way in which a mail program might decode a part's content. Checks run over all of them.
#include "mail/mime.h"

struct buffer;

struct content_view {
    const struct mime_node *node;
    struct span bytes;
    enum encoding encoding;
    int alternative; // not the way of a strict program
};

// Calls `fn` for each view, the declared encoding first, until it returns non-zero, which is
// returned. `scratch` holds decoded bytes during a call. Notes the anomalies of decoding in `mime`.
typedef int content_view_fn(void *context, const struct content_view *view);
int readings_each(struct mime *mime, int index, struct buffer *scratch, content_view_fn *fn,
                  void *context);
// Has it content of its own? (Leaves, and multiparts in which no part was found.)
int readings_has_content(const struct mime_node *node);
