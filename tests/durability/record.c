/* Records what a process does to the files below one directory, for tests that crash it afterwards.
 *
 * Preloaded. RECORD_DIR names the directory (lock files of LMDB are left out), RECORD_FILE the record: for
 * each operation a header, the name of the file, and what was written.
 *
 * No way of writing can be missed: a seccomp filter lets through only system calls that are known to be
 * harmless, and everything else, made by whatever code, ends up in the handler below. That carries out and
 * records what it knows, from the one place that the filter trusts, and ends the process at anything else. */
#define _GNU_SOURCE
#include "record_calls.h"
#include "record_names.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

enum { PARTS = 1024, RECORD_FD = 500 };

struct header {
    uint8_t
        kind; /* O open, W write, S sync, T truncate, M mkdir, R rename, U unlink, D sync of a directory */
    uint8_t flags; /* O: 1 created, 2 emptied. W: 1 durable at once. S: 1 fdatasync */
    uint16_t name;
    uint32_t length;
    uint64_t offset;
};

struct call {
    long number;
    long arguments[6];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Header, name and `length` bytes of the parts. */
static void put(uint8_t kind, uint8_t flags, const char *name, uint64_t offset, const struct iovec *parts,
                size_t length) {
    struct header header = {kind, flags, (uint16_t)strlen(name), (uint32_t)length, offset};
    struct iovec all[PARTS + 2] = {{&header, sizeof(header)}, {(void *)name, header.name}};
    int count = 2;
    for (size_t left = length; left > 0; count++, parts++) {
        if (count == PARTS) {
            refuse("too many parts", 0);
        }
        all[count] = *parts;
        all[count].iov_len = parts->iov_len < left ? parts->iov_len : left;
        left -= all[count].iov_len;
    }
    long whole = (long)(sizeof(header) + header.name + length);
    if (record_syscall(SYS_writev, RECORD_FD, (long)all, count, 0, 0, 0) != whole) {
        refuse("the record cannot be written", 0);
    }
}

static long carry_out(const struct call *call) {
    const long *a = call->arguments;
    return record_syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static uint64_t position(int fd) {
    int whence = record_syscall(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0) & O_APPEND ? SEEK_END : SEEK_CUR;
    return (uint64_t)record_syscall(SYS_lseek, fd, 0, whence, 0, 0, 0);
}

static long written(const struct call *call) {
    char path[PATH];
    int fd = (int)call->arguments[0];
    const char *name = name_of(fd, path);
    if (name == NULL) {
        return carry_out(call);
    }
    int vector = call->number == SYS_writev || call->number == SYS_pwritev;
    int placed = call->number == SYS_pwrite64 || call->number == SYS_pwritev;
    struct iovec one = {(void *)call->arguments[1], (size_t)call->arguments[2]};
    uint64_t offset = placed ? (uint64_t)call->arguments[3] : position(fd);
    long done = carry_out(call);
    if (done > 0) {
        int durable = (record_syscall(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0) & O_DSYNC) != 0;
        put('W', (uint8_t)durable, name, offset, vector ? (struct iovec *)call->arguments[1] : &one,
            (size_t)done);
    }
    return done;
}

static long synced(const struct call *call) {
    char path[PATH];
    struct stat status;
    const char *name = name_of((int)call->arguments[0], path);
    long result = carry_out(call);
    if (name != NULL && result == 0) {
        (void)fstat((int)call->arguments[0], &status);
        put(S_ISDIR(status.st_mode) ? 'D' : 'S', call->number == SYS_fdatasync, name, 0, NULL, 0);
    }
    return result;
}

/* A new length. `fallocate` in its plainest form is one too: it adds zeros. */
static long resized(const struct call *call) {
    char path[PATH];
    int fd = (int)call->arguments[0];
    const char *name = name_of(fd, path);
    struct stat status;
    long result = carry_out(call);
    if (name == NULL || result != 0) {
        return result;
    }
    if (call->number == SYS_fallocate && call->arguments[1] != 0) {
        refuse("fallocate with a mode", call->number);
    }
    (void)fstat(fd, &status);
    put('T', 0, name, (uint64_t)status.st_size, NULL, 0);
    return result;
}

static long opened(const struct call *call, long base, const char *given, int flags) {
    char path[PATH];
    const char *name = (flags & O_ACCMODE) == O_RDONLY ? NULL : name_at(base, given, path);
    if (name == NULL) {
        return carry_out(call);
    }
    struct stat status;
    int existed = fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
    long fd = carry_out(call);
    if ((flags & O_TMPFILE) == O_TMPFILE || (existed && S_ISLNK(status.st_mode))) {
        refuse("a file without a name of its own", call->number);
    }
    if (fd >= 0 && (!existed || flags & O_TRUNC)) {
        put('O', (uint8_t)((existed ? 0 : 1) | (flags & O_TRUNC ? 2 : 0)), name, 0, NULL, 0);
    }
    return fd;
}

static long renamed(const struct call *call, const char *from, const char *to) {
    long result = carry_out(call);
    const char *old = inside(from);
    const char *new = inside(to);
    if (result == 0 && (old != NULL || new != NULL)) {
        size_t folder = (size_t)(strrchr(from, '/') - from);
        if (old == NULL || new == NULL || folder != (size_t)(strrchr(to, '/') - to) ||
            strncmp(from, to, folder)) {
            refuse("rename across directories", call->number);
        }
        struct iovec part = {(void *)new, strlen(new)};
        put('R', 0, old, 0, &part, part.iov_len);
    }
    return result;
}

static long renamed_at(const struct call *call, long base, const char *from, long other, const char *to,
                       long flags) {
    char old[PATH];
    char new[PATH];
    (void)name_at(base, from, old);
    (void)name_at(other, to, new);
    if (flags != 0 && (inside(old) != NULL || inside(new) != NULL)) {
        refuse("rename with flags", call->number);
    }
    return renamed(call, old, new);
}

/* Makes or removes the name. */
static long named(const struct call *call, uint8_t kind, long base, const char *given, long flags) {
    char path[PATH];
    const char *name = name_at(base, given, path);
    long result = carry_out(call);
    if (name != NULL && result == 0) {
        if (flags != 0) {
            refuse("a directory is removed", call->number);
        }
        put(kind, 0, name, 0, NULL, 0);
    }
    return result;
}

/* Through a descriptor that cannot write, so that the kernel lets nobody make the memory writable later. */
static long mapped(const struct call *call) {
    char path[PATH];
    const long *a = call->arguments;
    if (a[3] & MAP_ANONYMOUS || name_of((int)a[4], path) == NULL) {
        return carry_out(call);
    }
    if (a[2] & PROT_WRITE) {
        refuse("a recorded file is mapped to be written", call->number);
    }
    long fd = record_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    long where = record_syscall(SYS_mmap, a[0], a[1], a[2], a[3], fd, a[5]);
    record_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
    return where;
}

static long controlled(const struct call *call) {
    char path[PATH];
    unsigned long what = (unsigned long)call->arguments[1];
    if (name_of((int)call->arguments[0], path) != NULL && what != FIOCLEX && what != FIONCLEX &&
        what != TCGETS) {
        refuse("ioctl on a recorded file", call->number);
    }
    return carry_out(call);
}

static long handle(const struct call *call) {
    const long *a = call->arguments;
    switch (call->number) {
    case SYS_write:
    case SYS_pwrite64:
    case SYS_writev:
    case SYS_pwritev:
        return written(call);
    case SYS_fsync:
    case SYS_fdatasync:
        return synced(call);
    case SYS_ftruncate:
    case SYS_fallocate:
        return resized(call);
    case SYS_openat:
        return opened(call, a[0], (const char *)a[1], (int)a[2]);
    case SYS_renameat:
        return renamed_at(call, a[0], (const char *)a[1], a[2], (const char *)a[3], 0);
    case SYS_renameat2:
        return renamed_at(call, a[0], (const char *)a[1], a[2], (const char *)a[3], a[4]);
    case SYS_unlinkat:
        return named(call, 'U', a[0], (const char *)a[1], a[2]);
    case SYS_mkdirat:
        return named(call, 'M', a[0], (const char *)a[1], 0);
    case SYS_mmap:
        return mapped(call);
    case SYS_ioctl:
        return controlled(call);
    case SYS_exit_group: /* here, so that no other thread is between an operation and its record */
        return carry_out(call);
#ifdef SYS_open
    case SYS_open:
        return opened(call, AT_FDCWD, (const char *)a[0], (int)a[1]);
    case SYS_creat:
        return opened(call, AT_FDCWD, (const char *)a[0], O_CREAT | O_WRONLY | O_TRUNC);
    case SYS_rename:
        return renamed_at(call, AT_FDCWD, (const char *)a[0], AT_FDCWD, (const char *)a[1], 0);
    case SYS_unlink:
        return named(call, 'U', AT_FDCWD, (const char *)a[0], 0);
    case SYS_mkdir:
        return named(call, 'M', AT_FDCWD, (const char *)a[0], 0);
#endif
    default:
        refuse("a call that this recorder does not know", call->number);
        return -ENOSYS;
    }
}

static void trapped(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number;
    struct call call = {info->si_syscall, {0}};
    long *result = record_registers(context, call.arguments);
    pthread_mutex_lock(&lock);
    *result = handle(&call);
    pthread_mutex_unlock(&lock);
}

static void filter(void) {
    static struct sock_filter program[64 + 2 * sizeof(record_harmless) / sizeof(record_harmless[0])];
    uint64_t trusted = (uint64_t)(uintptr_t)record_syscall_end;
    unsigned short at = 0;
#define ADD(code, k, yes, no) program[at++] = (struct sock_filter)BPF_JUMP(code, k, yes, no)
#define LOAD(member) ADD(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member), 0, 0)
#define SKIP_UNLESS(value, count) ADD(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)
#define RETURN(value) ADD(BPF_RET | BPF_K, value, 0, 0)
    LOAD(arch);
    ADD(BPF_JMP | BPF_JEQ | BPF_K, RECORD_ARCH, 1, 0);
    RETURN(SECCOMP_RET_KILL_PROCESS);
    LOAD(instruction_pointer);
    SKIP_UNLESS((uint32_t)trusted, 3);
    program[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                 offsetof(struct seccomp_data, instruction_pointer) + 4);
    SKIP_UNLESS((uint32_t)(trusted >> 32), 1);
    RETURN(SECCOMP_RET_ALLOW);
    LOAD(nr);
    for (size_t i = 0; i < sizeof(record_harmless) / sizeof(record_harmless[0]); i++) {
        SKIP_UNLESS((uint32_t)record_harmless[i], 1);
        RETURN(SECCOMP_RET_ALLOW);
    }
    SKIP_UNLESS(SYS_mmap, 4); /* a private mapping writes nothing */
    LOAD(args[3]);
    ADD(BPF_ALU | BPF_AND | BPF_K, MAP_TYPE, 0, 0);
    SKIP_UNLESS(MAP_PRIVATE, 1);
    RETURN(SECCOMP_RET_ALLOW);
    RETURN(SECCOMP_RET_TRAP);
    struct sock_fprog all = {at, program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) != 0) {
        refuse("the filter was refused", SYS_seccomp);
    }
}

__attribute__((constructor)) static void begin(void) {
    const char *directory = getenv("RECORD_DIR");
    const char *record = getenv("RECORD_FILE");
    if (directory == NULL || record == NULL) {
        return;
    }
    begin_names(directory);
    int fd = open(record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
    if (fd < 0 || dup3(fd, RECORD_FD, O_CLOEXEC) < 0 || sigaction(SIGSYS, &action, NULL) != 0) {
        refuse("it cannot begin", 0);
    }
    (void)close(fd);
    filter();
}
