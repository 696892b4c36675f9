/* Runs a fuzz target over each file of the directories and files named: the corpus as an ordinary test. At least one of them must
 * be accepted: a corpus of refusals alone says nothing about what lies behind them. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern unsigned long fuzz_seen, fuzz_accepted;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

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
    unsigned long before = fuzz_accepted;
    printf("%s\n", path);
    fflush(stdout); /* the last line tells which input crashed */
    LLVMFuzzerTestOneInput(data, size);
    if (fuzz_accepted > before) printf("  accepted\n");
    free(data);
    return 0;
}

/* With all that is below it. -1: one could not be read. */
static int replay(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory) return replay_file(path);
    int status = 0;
    for (struct dirent *entry; !status && (entry = readdir(directory));) {
        char name[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        status = replay(name);
    }
    closedir(directory);
    return status;
}

int main(int argc, char **argv)
{
    LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++)
        if (replay(argv[i]) < 0) return 1;
    if (fuzz_seen == 0) fprintf(stderr, "no input: a corpus directory is missing or empty\n");
    else if (fuzz_accepted == 0) fprintf(stderr, "no input was accepted\n");
    return fuzz_accepted == 0;
}
