/* mr_map: from a number to a place in a table, by open addressing. */
#ifndef MR_MAP_H
#define MR_MAP_H

#include "mr_base.h"

#define MR_NOWHERE UINT32_MAX

/* Ids are counted up from 1, so nearly every map holds small keys only, in cells of half the size: a narrow
 * map becomes a wide one with the first key of more than 32 bits. Place MR_NOWHERE: the cell is free. */
struct mr_map_narrow_cell {
    uint32_t key;
    uint32_t place;
};

struct mr_map_wide_cell {
    uint64_t key;
    uint32_t place;
};

struct mr_map {
    union {
        struct mr_map_narrow_cell *narrow;
        struct mr_map_wide_cell *wide;
    };
    uint64_t room; /* a power of two, or 0; at most three quarters of it are in use */
    uint64_t count;
    int is_wide;
};

void mr_map_clear(struct mr_map *map);

/* Bytes of its cells. */
uint64_t mr_map_memory(const struct mr_map *map);

/* The place of a key, or MR_NOWHERE. */
uint32_t mr_map_get(const struct mr_map *map, uint64_t key);

/* Has the place of a key brought up from memory, without waiting for it. */
void mr_map_fetch(const struct mr_map *map, uint64_t key);

/* Makes room for `key`, so that mr_map_put of it cannot fail. Errors: MR_MEMORY. */
int mr_map_reserve(struct mr_map *map, uint64_t key);

/* Puts a key that is not there; room was made for it. */
void mr_map_put(struct mr_map *map, uint64_t key, uint32_t place);

/* Takes out a key, if it is there. */
void mr_map_remove(struct mr_map *map, uint64_t key);

#endif /* MR_MAP_H */
