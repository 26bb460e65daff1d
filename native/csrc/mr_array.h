/* mr_array: arrays that grow. What holds one owns its memory. */
#ifndef MR_ARRAY_H
#define MR_ARRAY_H

#include <stdlib.h>
#include <string.h>

#include "mr_base.h"

/* `count` items of some type in memory for `room` of them; all zero: empty, without memory. */
#define MR_ARRAY(type)                                                                                       \
    struct {                                                                                                 \
        type *items;                                                                                         \
        uint32_t count;                                                                                      \
        uint32_t room;                                                                                       \
    }

/* Makes room for `more` further items. Errors: MR_MEMORY, MR_TOO_MANY; the array is as it was then. */
#define mr_array_reserve(array, more)                                                                        \
    mr_reserve((void **)&(array)->items, &(array)->room, (array)->count, (more), sizeof(*(array)->items))

#define mr_array_free(array)                                                                                 \
    do {                                                                                                     \
        free((array)->items);                                                                                \
        (array)->items = NULL;                                                                               \
        (array)->count = (array)->room = 0;                                                                  \
    } while (0)

enum { MR_ARRAY_SMALL = 64 };

/* Room doubles, or grows by a half where it is large: an item costs a constant number of moves. The first
 * room is for exactly what is asked, since most logs of a resting node hold one item or none. */
static inline int mr_reserve(void **items, uint32_t *room, uint32_t count, uint64_t more, size_t size) {
    uint64_t needed = (uint64_t)count + more;
    if (needed <= *room) {
        return MR_OK;
    }
    if (needed > UINT32_MAX / 2) {
        return MR_TOO_MANY;
    }
    uint64_t wanted = (uint64_t)*room + (*room < MR_ARRAY_SMALL ? *room : *room / 2);
    if (wanted < needed) {
        wanted = needed;
    }
    void *moved = realloc(*items, wanted * size);
    if (moved == NULL) {
        return MR_MEMORY;
    }
    *items = moved;
    *room = (uint32_t)wanted;
    return MR_OK;
}

#endif /* MR_ARRAY_H */
