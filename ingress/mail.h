// SPDX-License-Identifier: Apache-2.0
#pragma once

// A message in custody. Internal to custody*.c.
#include "ingress/ledger.h"

// The lists a mail can stand in: one at a time for each purpose.
enum mail_purpose { FOR_WORK, FOR_CLIENT, MAIL_PURPOSES };

struct mail_link {
    struct mail *next, *previous;
    struct mail_list *list; // NULL: in none
};

struct mail {
    struct mail_link links[MAIL_PURPOSES];
    struct custody *custody;
    struct ulid id;
    Postern__Envelope *envelope;
    Postern__Verdict *verdict; // NULL until known
    struct position place;
    struct job *jobs;
    answer_fn *answer; // NULL: answered, or the client left
    void *answer_context;
    int64_t accepted_ms;
    int64_t unattended_from;  // custody.unattended_ms when this process took it
    unsigned attempt;         // number of the last analysis sent; a verdict names it
    unsigned tries;           // analyses that died or passed their deadline
    unsigned delivery_deaths; // deliveries that died in its transaction
    unsigned appending;       // attempt records not yet durable
    unsigned open;            // recipients not RECIPIENT_ENDED
    unsigned written : 1;
    unsigned durable : 1;
    unsigned abandoned : 1; // its sync failed: it will be answered 451
    unsigned replayed : 1;
    unsigned last_try : 1; // recorded: no further analyzer gets it
    unsigned late : 1;     // answered 250: a reject is a quarantine now
    unsigned put_off : 1;  // it will be answered 452
    struct position *ends; // records that live as long as the message: done, attempt
    size_t end_count;
    uint8_t *states; // enum recipient_state
};

struct mail_list {
    struct mail *first, *last;
    enum mail_purpose purpose;
    size_t count;
};

struct custody {
    const struct custody_ops *ops;
    void *io;
    unsigned slot;
    uint64_t incarnation;
    struct custody_limits limits;
    struct table *mails;
    struct peer peers[2][SLOT_MOST]; // analyzers, deliveries
    uint64_t known[2];               // a bit per slot
    struct mail_list clients;        // FOR_CLIENT: unanswered, oldest first
    struct mail_list to_analyze;
    struct mail_list to_deliver;
    struct mail_list undecided; // replayed and judged while deliveries had not reported
    struct ending *unwritten;   // ends that the journal would not take yet
    int recovering;             // replayed messages wait for every delivery's report
    uint64_t reported;          // delivery slots that reported to this incarnation
    int64_t hello_ms;
    int64_t tick_ms;       // the last tick
    int64_t unattended_ms; // time that ticks saw pass without any analyzer alive
    int64_t attended;      // unattended_ms when one was last alive
    int quarantine_full;
};

void mail_list_add(struct mail_list *list, struct mail *mail);
void mail_list_remove(struct mail *mail, enum mail_purpose purpose);

struct mail *mail_find(const struct custody *self, const ProtobufCBinaryData *id);
struct mail *mail_new(struct custody *self, Postern__Envelope *envelope, const struct ulid *id);
void mail_free(struct mail *mail); // from memory only
void mail_keep_end(struct mail *mail, struct position where);
void mail_ended(struct mail *mail); // every recipient ended: releases its records, frees
void mail_answer(struct mail *mail, enum answer answer, const char *text);

// custody_analysis.c
void analysis_wanted(struct mail *mail);  // queue it for an analyzer
void analysis_next(struct custody *self); // send while there is credit
void analysis_died(struct job *job);      // its analyzer died or let the deadline pass
void analysis_tick(struct custody *self, int64_t now);

// custody_decision.c
void mail_decide(struct mail *mail);      // durable, or a verdict came: answer, end, give
void delivery_next(struct custody *self); // give what waits while there is credit
void delivery_died(struct job *job);      // its delivery's next incarnation does not claim it
void delivery_lost(struct job *job);      // it never arrived

// custody_done.c
struct peer_name {
    unsigned slot;
    uint64_t incarnation; // 0: nobody waits for an acknowledgement
};
// Appends the end of these recipients; acknowledges once it is durable.
void mail_end(struct mail *mail, const Postern__RecipientOutcome *outcomes, size_t count,
              struct peer_name delivery);
void mail_count_death(struct mail *mail, enum stage stage, unsigned count); // RECORD_ATTEMPT
void custody_append_again(struct custody *self);
void custody_forget_unwritten(struct custody *self);
void custody_acknowledge(struct custody *self, const ProtobufCBinaryData *id,
                         struct peer_name delivery, uint32_t *recipients, size_t count);

// custody_peers.c
struct peer *custody_peer_of(struct custody *self, enum stage stage, unsigned slot);
void peers_tick(struct custody *self, int64_t now);
void custody_check_reports(struct custody *self);
void custody_decide_replayed(struct custody *self); // some of those that waited for the reports
