// SPDX-License-Identifier: Apache-2.0
#pragma once

// A verdict for people and programs.
#include "analyzer/examination.h"
#include "proto/verdict.pb-c.h"
#include <jansson.h>

// {"verdict", "score", "findings": [...], "recipients": [...], ...}; the caller releases it.
json_t *explain_json(const struct examination *examination, const Postern__Verdict *verdict);
void explain_text(const struct examination *examination, const Postern__Verdict *verdict,
                  struct buffer *out);
