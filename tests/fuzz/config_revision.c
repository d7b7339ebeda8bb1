// SPDX-License-Identifier: Apache-2.0
#include "core/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int anything(void *context, const json_t *documents, const char *const *changed,
                    size_t count, char *ret_error, size_t error_size)
{
    (void)context;
    (void)documents;
    (void)changed;
    (void)count;
    (void)ret_error;
    (void)error_size;
    return 0;
}

// Whatever is read merges, and its tree and conflicts can be shown.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *reason;
    uint8_t hash[TREE_HASH];
    struct revision *revision = revision_read(data, size, &reason);
    if (!revision)
        return 0;
    struct config *config = config_new(anything, NULL);
    (void)config_add(config, &revision);
    config_merge(config);
    config_hash(config, config_documents(config), hash);
    json_decref(config_conflicts(config));
    config_destroy(&config);
    return 0;
}
