// SPDX-License-Identifier: Apache-2.0
// The allow and block lists of the configuration: senders, recipients, clients.
#include "analyzer/check.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESS_SIZE = 512 };

static const char *const sentences[2][3] = {
    [LIST_ALLOW] = {"The sender is on an allow list", "The recipient is on an allow list",
                    "The client is on an allow list"},
    [LIST_BLOCK] = {"The sender is on a block list", "The recipient is on a block list",
                    "The client is on a block list"},
};
static const char *const names[2][3] = {
    [LIST_ALLOW] = {"sender-allowed", "recipient-allowed", "client-allowed"},
    [LIST_BLOCK] = {"sender-blocked", "recipient-blocked", "client-blocked"},
};

static void find_listed(struct examination *examination, const struct settings_list *list,
                        int recipient)
{
    struct finding finding = {
        .name = names[list->kind][list->of],
        .sentence = sentences[list->kind][list->of],
        .class = list->kind == LIST_ALLOW ? FINDING_ALLOWED : FINDING_BLOCKED,
        .recipient = recipient,
    };
    examination_find(examination, &finding, list->name, strlen(list->name));
}

static int compare_entry(const void *key, const void *entry)
{
    return strcmp(key, *(char *const *)entry);
}

static int has_entry(const struct settings_list *list, const char *text)
{
    return bsearch(text, list->entries, list->entry_count, sizeof(*list->entries), compare_entry) !=
           NULL;
}

static int lower_copy(ProtobufCBinaryData text, char ret[ADDRESS_SIZE])
{
    if (text.len >= ADDRESS_SIZE || memchr(text.data, 0, text.len) != NULL)
        return -1;
    for (size_t i = 0; i < text.len; i++)
        ret[i] = (char)tolower(text.data[i]);
    ret[text.len] = 0;
    return 0;
}

// The address itself, its @domain, or a domain above that as @.domain.
static int lists_address(const struct settings_list *list, ProtobufCBinaryData address)
{
    char text[ADDRESS_SIZE];
    if (address.len == 0 || lower_copy(address, text) < 0)
        return 0;
    const char *at = strrchr(text, '@');
    if (has_entry(list, text) || at == NULL)
        return at == NULL ? has_entry(list, text) : 1;
    if (has_entry(list, at))
        return 1;
    for (const char *dot = at; dot != NULL; dot = strchr(dot + 1, '.')) {
        char above[ADDRESS_SIZE + 2];
        snprintf(above, sizeof(above), "@.%s", dot + 1);
        if (has_entry(list, above))
            return 1;
    }
    return 0;
}

static void match_recipients(struct examination *examination, const struct settings_list *list)
{
    const Postern__Envelope *envelope = examination->envelope;
    for (size_t i = 0; i < envelope->n_recipients; i++)
        if (lists_address(list, envelope->recipients[i]->address))
            find_listed(examination, list, (int)i);
}

static void match_client(struct examination *examination, const struct settings_list *list)
{
    char client[ADDRESS_SIZE];
    if (lower_copy(examination->envelope->client_address, client) == 0 &&
        network_contains(list->networks, list->network_count, client))
        find_listed(examination, list, ALL_RECIPIENTS);
}

void check_lists(struct check_run *run)
{
    const struct settings *settings = run->examination->settings;
    for (size_t i = 0; i < settings->list_count; i++) {
        const struct settings_list *list = &settings->lists[i];
        switch (list->of) {
        case LIST_SENDER:
            if (lists_address(list, run->examination->envelope->reverse_path))
                find_listed(run->examination, list, ALL_RECIPIENTS);
            break;
        case LIST_RECIPIENT:
            match_recipients(run->examination, list);
            break;
        case LIST_CLIENT:
            match_client(run->examination, list);
            break;
        }
    }
    check_done(run);
}
