// SPDX-License-Identifier: Apache-2.0
#include "analyzer/check.h"

const struct check message_checks[] = {
    {"structure", check_structure, NULL},
    {"fields", check_fields, NULL},
    {"lists", check_lists, NULL},
};
const size_t message_check_count = ARRAY_LENGTH(message_checks);
_Static_assert(ARRAY_LENGTH(message_checks) <= MESSAGE_CHECKS_MOST, "a run is kept for each check");

const struct content_check content_checks[] = {
    {"gtube", check_gtube},
    {"eicar", check_eicar},
    {"archive", check_archive},
};
const size_t content_check_count = ARRAY_LENGTH(content_checks);
