// SPDX-License-Identifier: Apache-2.0
#pragma once

// The master's thread for files: the bodies of quarantined mail, and what reads beside the writer.
#include "core/base/base.h"

struct disk;
struct loop;

// A job is part of its owner's structure. `run` is called on the thread, in order, then `done` on
// the loop.
struct disk_job;
typedef void disk_job_fn(struct disk_job *job);
struct disk_job {
    disk_job_fn *run, *done;
};

struct disk *disk_new(struct loop *loop);
void disk_destroy(struct disk **self); // runs and tells all that was put
// 0, or -1: full (EAGAIN); the caller keeps the job.
NODISCARD int disk_put(struct disk *self, struct disk_job *job);
