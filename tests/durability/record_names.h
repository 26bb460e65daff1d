/* Which file below the recorded directory a path or a descriptor means. */
#ifndef RECORD_NAMES_H
#define RECORD_NAMES_H

#include "record_calls.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { PATH = 4096 };

static char root[PATH];
static size_t root_length;

static void begin_names(const char *directory) {
    root_length = (size_t)snprintf(root, sizeof(root), "%s", directory);
}

static void say(const char *text) {
    record_syscall(SYS_write, 2, (long)text, (long)strlen(text), 0, 0, 0);
}

static void refuse(const char *what, long number) {
    char text[160];
    snprintf(text, sizeof(text), "record: %s (system call %ld)\n", what, number);
    say(text);
    record_syscall(SYS_exit_group, 99, 0, 0, 0, 0, 0);
}

/* The name below the directory, "." for itself; NULL: not there, or left out. */
static const char *inside(const char *path) {
    if (strncmp(path, root, root_length) != 0 || (path[root_length] != 0 && path[root_length] != '/')) {
        return NULL;
    }
    const char *name = path[root_length] == 0 ? "." : path + root_length + 1;
    size_t length = strlen(name);
    return length >= 8 && strcmp(name + length - 8, "lock.mdb") == 0 ? NULL : name;
}

/* Where a link leads to; nowhere if there is none. */
static const char *link_of(const char *link, char *path) {
    long length = record_syscall(SYS_readlinkat, AT_FDCWD, (long)link, (long)path, PATH - 1, 0, 0);
    path[length < 0 ? 0 : length] = 0;
    return path;
}

static const char *name_of(int fd, char *path) {
    char link[32];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    const char *name = inside(link_of(link, path));
    if (name != NULL && strstr(name, " (deleted)") != NULL) {
        refuse("a file without a name is written", 0);
    }
    return name;
}

/* The name of a path relative to `base`. */
static const char *name_at(long base, const char *given, char *path) {
    size_t at = 0;
    if (given[0] != '/') {
        if (base == AT_FDCWD) {
            (void)link_of("/proc/self/cwd", path);
        } else {
            (void)name_of((int)base, path);
        }
        at = strlen(path);
        path[at++] = '/';
    }
    size_t length = strlen(given) + 1;
    if (at + length > PATH) {
        refuse("a path is too long", 0);
    }
    memcpy(path + at, given, length);
    const char *name = inside(path);
    if (name != NULL && (strstr(path, "//") != NULL || strstr(path, "/.") != NULL)) {
        refuse("a path is not plain", 0);
    }
    return name;
}

#endif
