/* Preloaded into httpd: lets what a machine can do go wrong, while the file $OKS_FAULT_FILE says so. Its words:
 *   full           writing to files of $OKS_FAULT_DIR: ENOSPC
 *   broken         flushing them to the disk: EIO
 *   listing        reading the names of $OKS_FAULT_DIR: EIO at the first that begins with no dot
 *   write=N        the Nth write from now on fails with EIO, once, and so for each process
 *   clock=SECONDS  the time of day is so much later
 *   uptime=SECONDS the machine has been up for so much longer */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* What follows `word` in the file; NULL when it is not there. */
static const char *says(const char *word)
{
    static __thread char text[128];
    const char *path = getenv("OKS_FAULT_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return NULL;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    char *found = strstr(text, word);
    return found ? found + strlen(word) : NULL;
}

static int is_watched(int fd)
{
    char link[64], path[4096];
    const char *folder = getenv("OKS_FAULT_DIR");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = folder ? readlink(link, path, sizeof path - 1) : -1;
    if (len < 0) return 0;
    path[len] = '\0';
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int write_fails(int fd)
{
    static int count; /* of this process */
    int saved = errno;
    const char *nth;
    if (!is_watched(fd)) return errno = saved, 0;
    if (says("full")) return errno = ENOSPC, 1;
    if (!(nth = says("write="))) count = 0;
    else if (++count == atoi(nth)) return errno = EIO, 1;
    return errno = saved, 0;
}

ssize_t write(int fd, const void *data, size_t len)
{
    return write_fails(fd) ? -1 : REAL(write)(fd, data, len);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    return write_fails(fd) ? -1 : REAL(pwrite64)(fd, data, len, at);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return write_fails(fd) ? -1 : REAL(pwrite)(fd, data, len, at);
}

int ftruncate64(int fd, off64_t len)
{
    return write_fails(fd) ? -1 : REAL(ftruncate64)(fd, len);
}

static int flush_fails(int fd)
{
    int saved = errno, fails = is_watched(fd) && says("broken");
    errno = fails ? EIO : saved;
    return fails;
}

int fsync(int fd)
{
    return flush_fails(fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    return flush_fails(fd) ? -1 : REAL(fdatasync)(fd);
}

struct dirent *readdir(DIR *dir)
{
    struct dirent *entry = REAL(readdir)(dir);
    int saved = errno;
    if (entry && entry->d_name[0] != '.' && is_watched(dirfd(dir)) && says("listing")) return errno = EIO, NULL;
    errno = saved;
    return entry;
}

static time_t jump(const char *word)
{
    int saved = errno;
    const char *seconds = says(word);
    errno = saved;
    return seconds ? (time_t)atol(seconds) : 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int status = REAL(gettimeofday)(now, zone);
    if (now) now->tv_sec += jump("clock=");
    return status;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int status = REAL(clock_gettime)(clock, now);
    if (clock == CLOCK_MONOTONIC) now->tv_sec += jump("uptime=");
    if (clock == CLOCK_REALTIME) now->tv_sec += jump("clock=");
    return status;
}

time_t time(time_t *now)
{
    time_t value = REAL(time)(NULL) + jump("clock=");
    return now ? *now = value : value;
}
