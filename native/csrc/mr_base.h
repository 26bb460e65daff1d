/* mr_base: status codes, the assertion that NDEBUG does not remove, and byte helpers.
 *
 * Every function of ours that can fail returns a status and hands results out through pointers. Memory
 * belongs to the caller, nothing allocates, and a failed call has changed nothing; the index of the log
 * (mr_logindex and its parts) is the exception, and says so. */
#ifndef MR_BASE_H
#define MR_BASE_H

#include <stddef.h>
#include <stdint.h>

/* Name, code, text: the only place where a status is written down. Python reads it through the functions
 * below, so that names, codes and texts cannot drift apart. Codes count down without gaps. */
#define MR_STATUS_MAP(X)                                                                                     \
    X(MR_OK, 0, "done")                                                                                      \
    X(MR_BUG, -1, "an invariant of the native code does not hold")                                           \
    X(MR_FULL, -2, "the window is full")                                                                     \
    X(MR_GROW, -3, "the memory that was passed is too small")                                                \
    X(MR_ORDER, -4, "an index does not follow the one before it")                                            \
    X(MR_SHORT, -5, "it ends before its header does")                                                        \
    X(MR_LENGTH, -6, "its lengths do not add up")                                                            \
    X(MR_CHECKSUM, -7, "its checksum does not match")                                                        \
    X(MR_TOO_LARGE, -8, "it is over the size limit")                                                         \
    X(MR_TOO_MANY, -9, "it is over the count limit")                                                         \
    X(MR_MAGIC, -10, "it is not a frame of this protocol")                                                   \
    X(MR_VERSION, -11, "its format version is not supported")                                                \
    X(MR_RESERVED, -12, "reserved bits are set")                                                             \
    X(MR_RANGE, -13, "a number does not fit its field")                                                      \
    X(MR_MEMORY, -14, "there is no memory left")                                                             \
    X(MR_ABSENT, -15, "there is no such replica here")                                                       \
    X(MR_EXISTS, -16, "another replica of the group is here")                                                \
    X(MR_REMOVED, -17, "the replica was removed and cannot come back")                                       \
    X(MR_GAP, -18, "entries are missing before it")                                                          \
    X(MR_COMPACTED, -19, "it is compacted")                                                                  \
    X(MR_NO_ENTRY, -20, "there is no such entry")                                                            \
    X(MR_TWICE, -21, "it is there twice")

#define MR_STATUS_ENUM(name, code, text) name = (code),
enum mr_status { MR_STATUS_MAP(MR_STATUS_ENUM) };
#undef MR_STATUS_ENUM

/* cffi: begin */

/* How many statuses there are: the codes are 0, -1, ... -(count - 1). */
int mr_status_count(void);

/* Name and text of a status. The strings live for ever; an unknown code yields "?". */
const char *mr_status_name(int status);
const char *mr_status_text(int status);

/* Where this thread's latest MR_BUG came from, as "file:line: condition"; "" before the first one. The
 * string is valid until the next MR_BUG of this thread. */
const char *mr_last_bug(void);

/* cffi: end */

/* Notes a broken invariant for mr_last_bug and returns MR_BUG. */
int mr_report_bug(const char *file, int line, const char *condition);

/* An invariant of ours. setuptools compiles with NDEBUG, which this does not look at. A broken one is
 * reported as MR_BUG to the caller instead of aborting the process: one group may be lost to a bug, the
 * other thousands of the node may not. Use it in functions that return a status, before they change
 * anything. */
#define MR_ASSERT(condition)                                                                                 \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            return mr_report_bug(__FILE__, __LINE__, #condition);                                            \
        }                                                                                                    \
    } while (0)

/* Little-endian numbers at any alignment; compilers turn each into one instruction. */

static inline uint32_t mr_get_u32le(const uint8_t *source) {
    return (uint32_t)source[0] | ((uint32_t)source[1] << 8) | ((uint32_t)source[2] << 16) |
           ((uint32_t)source[3] << 24);
}

static inline uint64_t mr_get_u64le(const uint8_t *source) {
    return (uint64_t)mr_get_u32le(source) | ((uint64_t)mr_get_u32le(source + 4) << 32);
}

static inline void mr_put_u32le(uint8_t *target, uint32_t value) {
    target[0] = (uint8_t)value;
    target[1] = (uint8_t)(value >> 8);
    target[2] = (uint8_t)(value >> 16);
    target[3] = (uint8_t)(value >> 24);
}

static inline void mr_put_u64le(uint8_t *target, uint64_t value) {
    mr_put_u32le(target, (uint32_t)value);
    mr_put_u32le(target + 4, (uint32_t)(value >> 32));
}

#endif /* MR_BASE_H */
