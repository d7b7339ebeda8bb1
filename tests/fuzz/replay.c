// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over each file of the folders and files named, so that ordinary builds test
// what fuzzing found.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (!file || fstat(fileno(file), &status) < 0) {
        perror(path);
        return 0;
    }
    size_t size = (size_t)status.st_size;
    uint8_t *data =
        malloc(size ? size : 1); // exactly as big: a sanitizer sees the first byte beyond
    int whole = data && fread(data, 1, size, file) == size;
    if (whole)
        (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    fclose(file);
    return whole;
}

static int run_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return run_file(folder);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            count += run_file(path);
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++)
        count += run_folder(argv[i]);
    printf("%d inputs\n", count);
    return count ? 0 : 1; // an empty corpus tests nothing
}
