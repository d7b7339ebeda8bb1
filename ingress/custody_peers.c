// SPDX-License-Identifier: Apache-2.0
// Hello and Welcome: who is there, in which incarnation, and what it holds.
#include "core/base/log.h"
#include "ingress/mail.h"

#include <string.h>

enum { ANALYZERS, DELIVERIES };
enum { HELLO_EVERY_MS = 1000, DECIDED_AT_ONCE = 500 };

static void walk_on(struct custody *self, struct peer *peer);

struct peer *custody_peer_of(struct custody *self, enum stage stage, unsigned slot)
{
    int kind = stage == STAGE_ANALYZER ? ANALYZERS : DELIVERIES;
    if ((stage != STAGE_ANALYZER && stage != STAGE_DELIVERY) || slot >= SLOT_MOST)
        return NULL;
    struct peer *peer = &self->peers[kind][slot];
    peer->stage = stage;
    peer->slot = slot;
    return peer;
}

static void say_hello(struct custody *self, struct peer *peer)
{
    Postern__Hello hello = POSTERN__HELLO__INIT;
    hello.stage = STAGE_INGRESS;
    hello.slot = self->slot;
    hello.incarnation = self->incarnation;
    hello.round = peer->round + 1;
    if (self->ops->send(self->io, peer->stage, peer->slot, BUS_HELLO, &hello.base) == 0)
        peer->round++;
}

void custody_peer(struct custody *self, enum stage stage, unsigned slot, int present)
{
    struct peer *peer = custody_peer_of(self, stage, slot);
    if (!peer)
        return;
    peer->present = present;
    if (present)
        say_hello(self, peer);
}

// A delivery slot that exists no more was emptied by its last owner: it claims nothing.
static void end_removed(struct custody *self)
{
    uint64_t existing = self->ops->existing(self->io, STAGE_DELIVERY);
    int ended = 0;
    for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
        struct peer *peer = &self->peers[DELIVERIES][slot];
        if ((existing >> slot & 1) || !peer->jobs)
            continue;
        ended = 1;
        peer->incarnation = 0;
        while (peer->jobs)
            delivery_died(peer->jobs);
    }
    if (ended)
        delivery_next(self);
}

void peers_tick(struct custody *self, int64_t now)
{
    for (unsigned slot = 0; slot < SLOT_MOST; slot++)
        if (self->peers[DELIVERIES][slot].walk.round > 0)
            walk_on(self, &self->peers[DELIVERIES][slot]);
    if (now - self->hello_ms >= 0 && now - self->hello_ms < HELLO_EVERY_MS)
        return;
    self->hello_ms = now;
    for (int kind = ANALYZERS; kind <= DELIVERIES; kind++)
        for (unsigned slot = 0; slot < SLOT_MOST; slot++)
            if (self->peers[kind][slot].present)
                say_hello(self, &self->peers[kind][slot]);
    end_removed(self);
    custody_check_reports(self);
}

// -- analyzers

static void analyzer_welcome(struct custody *self, struct peer *peer,
                             const Postern__Welcome *welcome)
{
    int died = peer->incarnation != welcome->incarnation;
    peer->incarnation = welcome->incarnation;
    peer->credit = welcome->credit;
    peer->heard_ms = self->ops->now_ms(self->io);
    struct job *next;
    for (struct job *job = peer->jobs; died && job; job = next) {
        next = job->next;
        if (job->incarnation != welcome->incarnation)
            analysis_died(job);
    }
    analysis_next(self);
}

// -- deliveries

static struct job *job_at(const struct mail *mail, const struct peer *peer, uint32_t recipient)
{
    for (struct job *job = mail->jobs; job; job = job->mail_next)
        if (job->peer == peer && job_holds(job, recipient))
            return job;
    return NULL;
}

// What it claims stays with it: an old job goes over to the new incarnation, and a replayed
// message, of whose jobs nothing is known any more, gets one.
static void claim(struct custody *self, struct peer *peer, const Postern__Welcome *welcome,
                  const Postern__Holding *holding)
{
    struct mail *mail = mail_find(self, &holding->id);
    if (!mail)
        return;
    for (size_t i = 0; i < holding->n_recipients; i++) {
        uint32_t at = holding->recipients[i];
        if (at >= mail->envelope->n_recipients)
            continue;
        struct job *job = job_at(mail, peer, at);
        if (!job && mail->states[at] == RECIPIENT_WAITING) {
            job = job_new(peer, mail, &at, 1, self->ops->now_ms(self->io));
            mail->states[at] = RECIPIENT_GIVEN;
        }
        if (job) {
            job->incarnation = welcome->incarnation;
            job->seen = welcome->round;
        }
    }
}

// A job that no report named since the walk's round is not there.
static void check_reported(struct job *job, const struct walk *walk)
{
    if (job->seen >= walk->round)
        return;
    if (job->incarnation != walk->incarnation)
        delivery_died(job);
    else if (job->round < walk->round) // sent before the Hello, yet not there
        delivery_lost(job);
}

// Jobs that come meanwhile stand before those that are still to be looked at.
static void walk_on(struct custody *self, struct peer *peer)
{
    struct walk *walk = &peer->walk;
    for (unsigned i = 0; walk->next && i < self->limits.looked_at_once; i++) {
        struct job *job = walk->next;
        walk->next = job->next;
        check_reported(job, walk);
    }
    if (walk->next)
        return;
    walk->round = 0;
    self->reported |= (uint64_t)1 << peer->slot;
    custody_check_reports(self);
    delivery_next(self);
}

// Another report that ends during the walk is let go by: the next one comes in a second.
static void end_report(struct custody *self, struct peer *peer, const Postern__Welcome *welcome)
{
    peer->heard_ms = self->ops->now_ms(self->io);
    if (peer->walk.round > 0)
        return;
    peer->incarnation = welcome->incarnation;
    peer->credit = welcome->credit;
    peer->walk = (struct walk){welcome->round, welcome->incarnation, peer->jobs};
    walk_on(self, peer);
}

static void delivery_welcome(struct custody *self, struct peer *peer,
                             const Postern__Welcome *welcome)
{
    for (size_t i = 0; i < welcome->n_holding; i++)
        claim(self, peer, welcome, welcome->holding[i]);
    if (welcome->last)
        end_report(self, peer, welcome);
}

void custody_welcome(struct custody *self, const Postern__Welcome *welcome)
{
    struct peer *peer = custody_peer_of(self, (enum stage)welcome->stage, welcome->slot);
    if (!peer || welcome->to != self->incarnation || welcome->to_slot != self->slot ||
        welcome->incarnation == 0 || welcome->round > peer->round)
        return;
    if (peer->stage == STAGE_ANALYZER)
        analyzer_welcome(self, peer, welcome);
    else
        delivery_welcome(self, peer, welcome);
}

// -- recovery

void custody_decide_replayed(struct custody *self)
{
    struct mail *mail;
    for (unsigned i = 0; i < DECIDED_AT_ONCE && (mail = self->undecided.first); i++) {
        mail_list_remove(mail, FOR_WORK);
        mail_decide(mail);
    }
}

void custody_check_reports(struct custody *self)
{
    if (!self->recovering)
        return;
    uint64_t silent = self->ops->existing(self->io, STAGE_DELIVERY) & ~self->reported;
    if (silent != 0)
        return;
    self->recovering = 0;
    custody_decide_replayed(self);
}
