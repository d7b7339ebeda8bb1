// SPDX-License-Identifier: Apache-2.0
#include "analyzer/explain.h"

#include "analyzer/policy.h"
#include "core/base/buffer.h"
#include <stdlib.h>

// Bytes of the message that are no UTF-8 become '?', for JSON has no other text.
static json_t *text_json(ProtobufCBinaryData text)
{
    json_t *json = json_stringn((const char *)text.data, text.len);
    if (json != NULL)
        return json;
    char *printable = duplicate_bytes(text.data, text.len);
    for (size_t i = 0; i < text.len; i++)
        if (printable[i] & 0x80)
            printable[i] = '?';
    json = json_stringn(printable, text.len);
    free(printable);
    return json;
}

static Postern__Action heaviest_action(const Postern__Verdict *verdict)
{
    Postern__Action heaviest = POSTERN__ACTION__ACTION_ACCEPT;
    for (size_t i = 0; i < verdict->n_recipients; i++)
        if (verdict->recipients[i]->action > heaviest)
            heaviest = verdict->recipients[i]->action;
    return heaviest;
}

static json_t *findings_json(const Postern__Verdict *verdict)
{
    json_t *list = json_array();
    for (size_t i = 0; i < verdict->n_findings; i++) {
        const Postern__Finding *finding = verdict->findings[i];
        json_array_append_new(list, json_pack("{s:o, s:f, s:o, s:o}", "name",
                                              text_json(finding->name), "score", finding->score,
                                              "sentence", text_json(finding->sentence), "evidence",
                                              text_json(finding->evidence)));
    }
    return list;
}

static json_t *recipients_json(const struct examination *examination,
                               const Postern__Verdict *verdict)
{
    json_t *list = json_array();
    for (size_t i = 0; i < verdict->n_recipients; i++) {
        const Postern__RecipientVerdict *row = verdict->recipients[i];
        ProtobufCBinaryData address = examination->envelope->recipients[row->recipient]->address;
        json_array_append_new(list,
                              json_pack("{s:o, s:s, s:o}", "address", text_json(address), "verdict",
                                        action_name(row->action), "reply", text_json(row->reply)));
    }
    return list;
}

static json_t *anomalies_json(const struct mime *mime)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < ANOMALY_COUNT; i++)
        if (mime->anomalies & ANOMALY_BIT(i))
            json_array_append_new(list, json_string(anomaly_name((enum anomaly)i)));
    return list;
}

json_t *explain_json(const struct examination *examination, const Postern__Verdict *verdict)
{
    const struct mime *mime = examination->mime;
    return json_pack("{s:s, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:I, s:I, s:i, s:o, s:o}",
                     "verdict", action_name(heaviest_action(verdict)), "score", verdict->score,
                     "decisive", text_json(verdict->quarantine_name), "findings",
                     findings_json(verdict), "recipients", recipients_json(examination, verdict),
                     "message_id", text_json(examination->envelope->message_id), "subject",
                     text_json(examination->envelope->subject), "from",
                     text_json(examination->envelope->from), "checks", (int)verdict->checks, "size",
                     (json_int_t)examination->message.size, "parts", (json_int_t)mime->count,
                     "readings", (int)mime->readings, "anomalies", anomalies_json(mime), "policy",
                     text_json(verdict->policy));
}

// Text of the message on a terminal: control characters could steer it.
static void add_shown(struct buffer *out, ProtobufCBinaryData text)
{
    for (size_t i = 0; i < text.len; i++) {
        char shown = (char)text.data[i];
        if (text.data[i] < 32 || text.data[i] == 127)
            shown = '?';
        buffer_add(out, &shown, 1);
    }
}

static void add_line(struct buffer *out, const char *name, ProtobufCBinaryData value)
{
    buffer_printf(out, "%-12s", name);
    add_shown(out, value);
    buffer_add_text(out, "\n");
}

void explain_text(const struct examination *examination, const Postern__Verdict *verdict,
                  struct buffer *out)
{
    buffer_printf(out, "%-12s%s (score %.1f, %u checks)\n", "verdict",
                  action_name(heaviest_action(verdict)), verdict->score, verdict->checks);
    add_line(out, "message-id", examination->envelope->message_id);
    add_line(out, "from", examination->envelope->from);
    add_line(out, "subject", examination->envelope->subject);
    for (size_t i = 0; i < verdict->n_recipients; i++) {
        const Postern__RecipientVerdict *row = verdict->recipients[i];
        buffer_printf(out, "%-12s%-12s", "recipient", action_name(row->action));
        add_shown(out, examination->envelope->recipients[row->recipient]->address);
        buffer_add_text(out, "\n");
    }
    for (size_t i = 0; i < verdict->n_findings; i++) {
        const Postern__Finding *finding = verdict->findings[i];
        buffer_printf(out, "%-12s%.*s (%.1f): ", "finding", (int)finding->name.len,
                      (char *)finding->name.data, finding->score);
        add_shown(out, finding->sentence);
        if (finding->evidence.len > 0) {
            buffer_add_text(out, " [");
            add_shown(out, finding->evidence);
            buffer_add_text(out, "]");
        }
        buffer_add_text(out, "\n");
    }
}
