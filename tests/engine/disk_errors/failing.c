/* Makes writes and flushes of LMDB's data files fail to order, for tests.
 *
 * Preloaded. FAIL_FILE names a file of four 32-bit numbers that the test changes as it likes: what fails
 * (1 flushes, 2 writes, 3 writes of a meta page), errno, how often, and how often it has. A bit that says
 * which files: those whose path contains FAIL_PART. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FLUSH = 1, WRITE = 2, META = 3, META_END = 8192 };

struct order {
    int32_t what, error, times, done;
};

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static struct order *order(void) {
    static struct order *mapped;
    const char *path = getenv("FAIL_FILE");
    if (mapped == NULL && path != NULL) {
        int fd = REAL(open)(path, O_RDWR);
        void *memory = mmap(NULL, sizeof(struct order), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        mapped = memory == MAP_FAILED ? NULL : memory;
        close(fd);
    }
    return mapped;
}

static int fails(int fd, int what) {
    struct order *now = order();
    if (now == NULL || now->what != what || now->times == 0) {
        return 0;
    }
    char link[64], path[512];
    const char *part = getenv("FAIL_PART");
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof(path) - 1);
    path[length < 0 ? 0 : length] = 0;
    if (strstr(path, "data.mdb") == NULL || part == NULL || strstr(path, part) == NULL) {
        return 0;
    }
    now->times--;
    now->done++;
    errno = now->error;
    return 1;
}

static int write_fails(int fd, off_t offset) {
    return fails(fd, WRITE) || (offset < META_END && fails(fd, META));
}

int fdatasync(int fd) {
    return fails(fd, FLUSH) ? -1 : REAL(fdatasync)(fd);
}

int fsync(int fd) {
    return fails(fd, FLUSH) ? -1 : REAL(fsync)(fd);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    return write_fails(fd, offset) ? -1 : REAL(pwrite)(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) {
    return pwrite(fd, data, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return fails(fd, WRITE) ? -1 : REAL(writev)(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return write_fails(fd, offset) ? -1 : REAL(pwritev)(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev(fd, parts, count, offset);
}
