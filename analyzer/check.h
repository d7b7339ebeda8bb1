// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a check is, and which there are. A check of the message ends by check_done(), at once or
// when what it asked for has come; a check of content is called for every decoded view of every
// part.
#include "analyzer/examination.h"
#include "mail/readings.h"

struct check_run {
    struct examination *examination;
    void *state; // the check's own, while it runs
};

struct check {
    const char *name;
    void (*start)(struct check_run *run);
    // Its deadline has passed: stop, do not call check_done. NULL for checks that always end within
    // start.
    void (*cancel)(struct check_run *run);
};

struct content_check {
    const char *name;
    void (*view)(struct examination *examination, const struct content_view *view);
};

// The check has ended. May be called within start.
void check_done(struct check_run *run);

extern const struct check message_checks[];
extern const size_t message_check_count;
extern const struct content_check content_checks[];
extern const size_t content_check_count;

enum { MESSAGE_CHECKS_MOST = 32 };

// analyzer/checks/, one file each
void check_structure(struct check_run *run);
void check_lists(struct check_run *run);
void check_fields(struct check_run *run);
void check_gtube(struct examination *examination, const struct content_view *view);
void check_eicar(struct examination *examination, const struct content_view *view);
void check_archive(struct examination *examination, const struct content_view *view);
// For checks that look into containers: is the test virus in these bytes?
int eicar_in(struct span bytes);
extern const struct finding finding_eicar;
