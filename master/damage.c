// SPDX-License-Identifier: Apache-2.0
#include "master/damage.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct note {
    struct writer_job job;
    char master[64], detail[400];
};

static void write_note(struct writer_job *job, struct writer_databases *databases)
{
    struct note *note = (struct note *)job;
    Postern__Event event = POSTERN__EVENT__INIT;
    char text[sizeof(DAMAGE_ALARM) + 2 + sizeof(note->detail)];
    snprintf(text, sizeof(text), DAMAGE_ALARM ": %s", note->detail);
    event.kind = POSTERN__KIND__KIND_NODE;
    event.time_ms = clock_wall_ms();
    event.alarm = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    // The master's own words have no stream: no number, no watermark.
    struct store_event at = {.node = note->master, .event = &event};
    if (store_add(databases->store, &at) < 0 || store_commit(databases->store) < 0)
        store_rollback(databases->store); // the log and the status have it
}

static void written(struct writer_job *job)
{
    free(job);
}

void damage_look(struct master *master)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/master/corrupt", master->conf->state);
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder && (entry = readdir(folder)))
        master->damaged |= entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    if (master->damaged)
        log_error("alarm", DAMAGE_ALARM "=raised detail=\"files lie in %s\"", path);
}

void damage_found(struct master *master, const struct store_damage *damage)
{
    struct note *note = allocate(sizeof(*note));
    note->job = (struct writer_job){write_note, written};
    snprintf(note->master, sizeof(note->master), "%s", master->conf->name);
    snprintf(note->detail, sizeof(note->detail),
             "%s was damaged and set aside, %llu rows saved: %s", damage->file,
             (unsigned long long)damage->saved, damage->copy);
    master->damaged = 1;
    if (writer_put(master->writer, &note->job) < 0)
        free(note);
}
