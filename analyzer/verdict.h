// SPDX-License-Identifier: Apache-2.0
#pragma once

// An ended examination as the message that goes back to ingress.
#include "analyzer/examination.h"
#include "proto/verdict.pb-c.h"

// Everything of the verdict but the names of job and incarnations. The caller frees by
// verdict_destroy.
Postern__Verdict *verdict_new(const struct examination *examination, const char *host);
// For a message that could not be examined: no recipient has a row, which means quarantine for all.
Postern__Verdict *verdict_unexamined(const char *finding, const char *sentence);
void verdict_destroy(Postern__Verdict **self);
