/* Records what a process does to the files of one directory, for tests that crash it afterwards.
 *
 * Preloaded. RECORD_DIR names the directory (its lock file is left out), RECORD_FILE the record: for each
 * operation one header, the name of the file, and what was written. A way of writing that is not recorded
 * here ends the process, so that no record can be incomplete without notice. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES = 1024, NAME = 64 };

struct header {
    uint8_t kind;  /* O open, W write, S sync, T truncate, R rename, U unlink, D sync of the directory */
    uint8_t flags; /* O: 1 created, 2 emptied. W: 1 durable at once */
    uint16_t name;
    uint32_t length;
    uint64_t offset;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char names[FILES][NAME]; /* of open files; "/" is the directory itself */
static uint8_t direct[FILES];
static int record = -1;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void refuse(const char *call) {
    char text[128];
    int length = snprintf(text, sizeof(text), "record: %s on a recorded file\n", call);
    (void)!REAL(write)(2, text, (size_t)length);
    abort();
}

/* The name within the directory; NULL: not there, or left out. */
static const char *inside(const char *path) {
    const char *directory = getenv("RECORD_DIR");
    size_t length = directory == NULL ? 0 : strlen(directory);
    if (length == 0 || strncmp(path, directory, length) != 0) {
        return NULL;
    }
    if (path[length] == 0) {
        return "/";
    }
    const char *name = path + length + 1;
    return path[length] != '/' || strcmp(name, "lock.mdb") == 0 || strlen(name) >= NAME ? NULL : name;
}

static const char *name_of(int fd) {
    return fd >= 0 && fd < FILES && names[fd][0] != 0 ? names[fd] : NULL;
}

static void put(uint8_t kind, uint8_t flags, const char *name, uint64_t offset, const void *data,
                uint32_t length) {
    if (record < 0) {
        record = REAL(open)(getenv("RECORD_FILE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    struct header header = {kind, flags, (uint16_t)strlen(name), length, offset};
    struct iovec parts[3] = {{&header, sizeof(header)}, {(void *)name, header.name}, {(void *)data, length}};
    if (REAL(writev)(record, parts, 3) != (ssize_t)(sizeof(header) + header.name + length)) {
        abort();
    }
}

static int opened(int fd, const char *path, int flags, int existed) {
    const char *name = fd >= 0 && fd < FILES ? inside(path) : NULL;
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FILES) {
        names[fd][0] = 0;
    }
    if (name != NULL) {
        strcpy(names[fd], name);
        direct[fd] = (flags & (O_DSYNC | O_SYNC)) != 0;
        int writes = (flags & O_ACCMODE) != O_RDONLY;
        if (writes && (!existed || flags & O_TRUNC)) {
            put('O', (uint8_t)((existed ? 0 : 1) | (flags & O_TRUNC ? 2 : 0)), name, 0, "", 0);
        }
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

static mode_t mode_of(int flags, va_list *arguments) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(*arguments, mode_t) : 0;
}

#define OPEN(call)                                                                                           \
    int call(const char *path, int flags, ...) {                                                             \
        va_list arguments;                                                                                   \
        va_start(arguments, flags);                                                                          \
        mode_t mode = mode_of(flags, &arguments);                                                            \
        va_end(arguments);                                                                                   \
        struct stat known;                                                                                   \
        int existed = stat(path, &known) == 0;                                                               \
        return opened(REAL(call)(path, flags, mode), path, flags, existed);                                  \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(call)                                                                                         \
    int call(int base, const char *path, int flags, ...) {                                                   \
        va_list arguments;                                                                                   \
        va_start(arguments, flags);                                                                          \
        mode_t mode = mode_of(flags, &arguments);                                                            \
        va_end(arguments);                                                                                   \
        struct stat known;                                                                                   \
        int existed = stat(path, &known) == 0;                                                               \
        return opened(REAL(call)(base, path, flags, mode), path, flags, existed);                            \
    }
OPENAT(openat)
OPENAT(openat64)

static void gather(const struct iovec *parts, int count, uint64_t offset, ssize_t done, int fd) {
    uint8_t *all = malloc((size_t)done + 1);
    size_t at = 0;
    for (int i = 0; i < count && at < (size_t)done; i++) {
        size_t part = parts[i].iov_len < (size_t)done - at ? parts[i].iov_len : (size_t)done - at;
        memcpy(all + at, parts[i].iov_base, part);
        at += part;
    }
    put('W', direct[fd], name_of(fd), offset, all, (uint32_t)done);
    free(all);
}

#define WRITTEN(call, fd, parts, count, offset)                                                              \
    pthread_mutex_lock(&lock);                                                                               \
    uint64_t place = name_of(fd) == NULL ? 0 : (uint64_t)(offset);                                           \
    ssize_t done = call;                                                                                     \
    if (done > 0 && name_of(fd) != NULL) {                                                                   \
        gather(parts, count, place, done, fd);                                                               \
    }                                                                                                        \
    pthread_mutex_unlock(&lock);                                                                             \
    return done;

static off_t position(int fd) {
    return fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    struct iovec part = {(void *)data, size};
    WRITTEN(REAL(pwrite)(fd, data, size, offset), fd, &part, 1, offset)
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    struct iovec part = {(void *)data, size};
    WRITTEN(REAL(pwrite64)(fd, data, size, offset), fd, &part, 1, offset)
}
ssize_t write(int fd, const void *data, size_t size) {
    struct iovec part = {(void *)data, size};
    WRITTEN(REAL(write)(fd, data, size), fd, &part, 1, position(fd))
}
ssize_t writev(int fd, const struct iovec *parts,
               int count){WRITTEN(REAL(writev)(fd, parts, count), fd, parts, count, position(fd))} ssize_t
    pwritev(int fd, const struct iovec *parts, int count,
            off_t offset){WRITTEN(REAL(pwritev)(fd, parts, count, offset), fd, parts, count, offset)} ssize_t
    pwritev64(int fd, const struct iovec *parts, int count,
              off64_t offset){WRITTEN(REAL(pwritev64)(fd, parts, count, offset), fd, parts, count, offset)}

#define SYNC(call)                                                                                           \
    int call(int fd) {                                                                                       \
        pthread_mutex_lock(&lock);                                                                           \
        int status = REAL(call)(fd);                                                                         \
        const char *name = name_of(fd);                                                                      \
        if (status == 0 && name != NULL) {                                                                   \
            put(name[0] == '/' ? 'D' : 'S', 0, name, 0, "", 0);                                              \
        }                                                                                                    \
        pthread_mutex_unlock(&lock);                                                                         \
        return status;                                                                                       \
    }
SYNC(fsync) SYNC(fdatasync)

#define TRUNCATE(call, kind)                                                                                 \
    int call(int fd, kind size) {                                                                            \
        pthread_mutex_lock(&lock);                                                                           \
        int status = REAL(call)(fd, size);                                                                   \
        if (status == 0 && name_of(fd) != NULL) {                                                            \
            put('T', 0, name_of(fd), (uint64_t)size, "", 0);                                                 \
        }                                                                                                    \
        pthread_mutex_unlock(&lock);                                                                         \
        return status;                                                                                       \
    }
    TRUNCATE(ftruncate, off_t) TRUNCATE(ftruncate64, off64_t)

        static int renamed(int status, const char *from, const char *to) {
    const char *old = inside(from);
    const char *new = inside(to);
    pthread_mutex_lock(&lock);
    if (status == 0 && old != NULL && new != NULL) {
        put('R', 0, old, 0, new, (uint32_t)strlen(new));
    } else if (status == 0 && (old != NULL || new != NULL)) {
        refuse("rename across directories");
    }
    pthread_mutex_unlock(&lock);
    return status;
}
int rename(const char *from, const char *to) {
    return renamed(REAL(rename)(from, to), from, to);
}
int renameat(int base, const char *from, int other, const char *to) {
    return renamed(REAL(renameat)(base, from, other, to), from, to);
}

static int unlinked(int status, const char *path) {
    pthread_mutex_lock(&lock);
    if (status == 0 && inside(path) != NULL) {
        put('U', 0, inside(path), 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return status;
}
int unlink(const char *path) {
    return unlinked(REAL(unlink)(path), path);
}
int unlinkat(int base, const char *path, int flags) {
    return unlinked(REAL(unlinkat)(base, path, flags), path);
}

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FILES) {
        names[fd][0] = 0;
    }
    int status = REAL(close)(fd);
    pthread_mutex_unlock(&lock);
    return status;
}

#define REFUSED(result, call, fd, list, arguments)                                                           \
    result call list {                                                                                       \
        if (name_of(fd) != NULL) {                                                                           \
            refuse(#call);                                                                                   \
        }                                                                                                    \
        return REAL(call) arguments;                                                                         \
    }
REFUSED(int, fallocate, fd, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
REFUSED(int, posix_fallocate, fd, (int fd, off_t at, off_t size), (fd, at, size))
REFUSED(int, posix_fallocate64, fd, (int fd, off64_t at, off64_t size), (fd, at, size))
REFUSED(ssize_t, copy_file_range, out, (int in, off64_t *a, int out, off64_t *b, size_t n, unsigned f),
        (in, a, out, b, n, f))
REFUSED(int, dup, fd, (int fd), (fd))

#define MMAP(call, kind)                                                                                     \
    void *call(void *where, size_t size, int access, int flags, int fd, kind offset) {                       \
        if (access & PROT_WRITE && flags & MAP_SHARED && name_of(fd) != NULL) {                              \
            refuse(#call);                                                                                   \
        }                                                                                                    \
        return REAL(call)(where, size, access, flags, fd, offset);                                           \
    }
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)
