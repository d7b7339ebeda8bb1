// SPDX-License-Identifier: Apache-2.0
#pragma once

// How messages are shown, in whichever command.
#include "cli/output.h"

struct cli;

char *format_recipients(const json_t *row); // a column's format
void print_findings(const json_t *list);
void print_message(const json_t *message); // with its timeline
// Asks for a list and prints it: JSON or a table. The exit code.
int print_rows(struct cli *self, const char *path, const struct column *table, size_t count);
