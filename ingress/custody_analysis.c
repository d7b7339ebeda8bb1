// SPDX-License-Identifier: Apache-2.0
// Asking for a verdict: which analyzer gets a message, and what happens when it does not answer.
#include "core/base/log.h"
#include "core/base/unpack.h"
#include "ingress/mail.h"

#include <stdlib.h>
#include <string.h>

enum { ANALYZERS, DELIVERIES };
enum { TRIES_MOST = 2, GIVEN_UP_AT_ONCE = 200, TICK_COUNTS_MOST_MS = 1000 };
static const uint64_t bytes_most =
    8u << 20; // outstanding with one analyzer; one job is always allowed

static int is_alone(const struct job *job)
{
    return job->mail->tries > 0;
}

static int takes(const struct custody *self, const struct peer *peer, const struct mail *mail,
                 int64_t now)
{
    if (!peer->present || peer->incarnation == 0 || peer->job_count >= peer->credit)
        return 0;
    if (now - peer->heard_ms > self->limits.silent_ms)
        return 0;
    if (peer->job_count == 0)
        return 1;
    if (mail->tries > 0 || is_alone(peer->jobs)) // a second try runs alone
        return 0;
    return peer->bytes + mail->place.length <= bytes_most;
}

static struct peer *least_loaded(struct custody *self, const struct mail *mail)
{
    int64_t now = self->ops->now_ms(self->io);
    struct peer *best = NULL;
    for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
        struct peer *peer = &self->peers[ANALYZERS][slot];
        if (takes(self, peer, mail, now) && (!best || peer->job_count < best->job_count))
            best = peer;
    }
    return best;
}

static int send_analysis(struct mail *mail, struct peer *peer)
{
    struct custody *self = mail->custody;
    Postern__Place place = POSTERN__PLACE__INIT;
    place.slot = self->slot;
    place.segment = mail->place.segment;
    place.offset = mail->place.offset;
    place.length = mail->place.length;
    Postern__AnalyzerJob job = POSTERN__ANALYZER_JOB__INIT;
    job.id = (ProtobufCBinaryData){ULID_SIZE, mail->id.bytes};
    job.attempt = mail->attempt + 1;
    job.ingress = self->slot;
    job.sender = self->incarnation;
    job.receiver = peer->incarnation;
    job.place = &place;
    job.deadline_ms = (uint32_t)self->limits.job_timeout_ms;
    if (self->ops->send(self->io, STAGE_ANALYZER, peer->slot, BUS_ANALYZER_JOB, &job.base) < 0)
        return -1;
    mail->attempt++;
    job_new(peer, mail, NULL, 0, self->ops->now_ms(self->io));
    return 0;
}

// Before a second try is sent it is durably the last one: an ingress that dies meanwhile cannot
// hide a death. One at a time, so that such an end of ingress condemns no others.
static void begin_last_try(struct mail *mail)
{
    mail->last_try = 1;
    mail_count_death(mail, STAGE_ANALYZER, TRIES_MOST);
}

void analysis_next(struct custody *self)
{
    struct mail *mail = self->to_analyze.first;
    int last_try_waits = 0;
    while (mail) {
        struct mail *next = mail->links[FOR_WORK].next;
        int begun = mail->tries == 0 || mail->last_try;
        if (!begun && !last_try_waits)
            begin_last_try(mail);
        last_try_waits |= mail->last_try;
        if (begun && mail->appending == 0) {
            struct peer *peer = least_loaded(self, mail);
            if (!peer || send_analysis(mail, peer) < 0)
                return;
            mail_list_remove(mail, FOR_WORK);
        }
        mail = next;
    }
}

// A verdict made without an analyzer: quarantine for everybody, with the finding that says why.
static void quarantine_unseen(struct mail *mail, const char *name, const char *sentence)
{
    Postern__Finding finding = POSTERN__FINDING__INIT, *findings[] = {&finding};
    finding.name = (ProtobufCBinaryData){strlen(name), (uint8_t *)name};
    finding.sentence = (ProtobufCBinaryData){strlen(sentence), (uint8_t *)sentence};
    Postern__Verdict verdict = POSTERN__VERDICT__INIT;
    verdict.n_findings = 1;
    verdict.findings = findings;
    verdict.quarantine_name = finding.name;
    size_t size = postern__verdict__get_packed_size(&verdict);
    uint8_t *packed = allocate(size + 1);
    postern__verdict__pack(&verdict, packed);
    // No row for a recipient means quarantine (custody_decision.c).
    mail->verdict = postern__verdict__unpack(&unpack_allocator, size, packed);
    free(packed);
    mail_list_remove(mail, FOR_WORK);
    mail_decide(mail);
}

void analysis_wanted(struct mail *mail)
{
    struct custody *self = mail->custody;
    if (mail->tries >= TRIES_MOST) {
        quarantine_unseen(mail, "analyzer-died",
                          "Two analyzers died or hung while they examined this message.");
        return;
    }
    mail_list_add(&self->to_analyze, mail);
    if (self->to_analyze.first == mail)
        analysis_next(self);
}

// Takes a job back. A charged one counts as a try that killed or hung its analyzer.
static void take_back(struct job *job, int charged)
{
    struct mail *mail = job->mail;
    job_end(job);
    mail->tries += charged != 0;
    analysis_wanted(mail);
}

// The dying words of an analyzer may be lost with it, so its death charges all that it held, not
// only what it is known to have begun. The second try runs alone, so the innocent pass it.
void analysis_died(struct job *job)
{
    take_back(job, 1);
}

static void check_analyzer(struct custody *self, struct peer *peer, int64_t now)
{
    int dead = !self->ops->locked(self->io, STAGE_ANALYZER, peer->slot);
    int silent = now - peer->heard_ms > self->limits.silent_ms;
    struct job *next;
    for (struct job *job = peer->jobs; job; job = next) {
        next = job->next;
        int late = now - job->sent_ms > self->limits.job_timeout_ms;
        if (dead || late || (silent && !job->begun))
            take_back(job, dead || job->begun);
    }
}

// How long it has waited without any analyzer, as far as this process saw: neither a stage that was
// off, nor a machine that slept, nor a clock that jumped is a wait.
static int64_t waited_ms(const struct mail *mail)
{
    const struct custody *self = mail->custody;
    int64_t from = mail->unattended_from > self->attended ? mail->unattended_from : self->attended;
    return self->unattended_ms - from;
}

static void give_up_waiting(struct custody *self)
{
    for (unsigned i = 0; i < GIVEN_UP_AT_ONCE && self->to_analyze.first &&
                         waited_ms(self->to_analyze.first) > self->limits.analysis_wait_ms;
         i++)
        quarantine_unseen(self->to_analyze.first, "analysis-unavailable",
                          "No analyzer was there to examine this message in time.");
}

static void count_unattended(struct custody *self, int64_t now, int alive)
{
    int64_t passed = now - self->tick_ms;
    self->tick_ms = now;
    if (alive)
        self->attended = self->unattended_ms;
    else if (passed > 0)
        self->unattended_ms += passed < TICK_COUNTS_MOST_MS ? passed : TICK_COUNTS_MOST_MS;
}

void analysis_tick(struct custody *self, int64_t now)
{
    int alive = 0;
    for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
        struct peer *peer = &self->peers[ANALYZERS][slot];
        if (peer->jobs)
            check_analyzer(self, peer, now);
        alive |= peer->incarnation != 0 && now - peer->heard_ms <= self->limits.silent_ms;
    }
    count_unattended(self, now, alive);
    if (!alive)
        give_up_waiting(self);
    analysis_next(self);
}

void custody_begun(struct custody *self, const Postern__AnalyzerBegun *begun)
{
    struct mail *mail = mail_find(self, &begun->id);
    if (!mail || begun->receiver != self->incarnation || begun->attempt != mail->attempt)
        return;
    for (struct job *job = mail->jobs; job; job = job->mail_next)
        if (job->recipient_count == 0 && job->incarnation == begun->sender)
            job->begun = 1;
}

void custody_verdict(struct custody *self, Postern__Verdict *verdict)
{
    struct mail *mail = mail_find(self, &verdict->id);
    if (mail && !mail->verdict && verdict->receiver == self->incarnation &&
        verdict->attempt == mail->attempt)
        for (struct job *job = mail->jobs; job; job = job->mail_next)
            if (job->recipient_count == 0 && job->incarnation == verdict->sender) {
                job_end(job);
                mail->verdict = verdict;
                self->ops->judged(self->io, mail->envelope, verdict);
                mail_decide(mail);
                analysis_next(self);
                return;
            }
    postern__verdict__free_unpacked(verdict, NULL); // of an old attempt, or another's
}
