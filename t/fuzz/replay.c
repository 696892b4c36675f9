/* Runs a fuzz target over each file of the directories and files named: the corpus as an ordinary test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* A target may define it; libFuzzer calls it once, too. */
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

#define INPUT_MAX (4 * 1024 * 1024)

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return -1;
    }
    /* Exactly as many bytes as the input has, so that ASan sees a read past its end. */
    static uint8_t buffer[INPUT_MAX];
    size_t size = fread(buffer, 1, sizeof buffer, file);
    fclose(file);
    uint8_t *data = malloc(size ? size : 1);
    if (!data) return -1;
    memcpy(data, buffer, size);
    printf("%s\n", path);
    fflush(stdout); /* the last line tells which input crashed */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

/* The number of inputs, -1 when one could not be read. */
static int replay_directory(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory) return replay_file(path);
    int count = 0;
    for (struct dirent *entry; count >= 0 && (entry = readdir(directory));) {
        char name[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        count = replay_file(name) < 0 ? -1 : count + 1;
    }
    closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    if (LLVMFuzzerInitialize) LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        int count = replay_directory(argv[i]);
        if (count < 0) return 1;
        total += count;
    }
    if (total == 0) {
        fprintf(stderr, "no input: a corpus directory is missing or empty\n");
        return 1;
    }
    printf("%d inputs\n", total);
    return 0;
}
