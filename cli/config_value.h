// SPDX-License-Identifier: Apache-2.0
#pragma once

// What "KEY=VALUE" of the command line means, by the type that the schema gives the key.
#include <jansson.h>
#include <stddef.h>

// A new reference; NULL with a message. Texts are taken as they are; a list may be written as JSON
// or with commas; everything else is JSON. A size may have its unit.
json_t *config_value(const char *document, const char *key, const char *text, char *ret_error,
                     size_t error_size);
