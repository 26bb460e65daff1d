/* mr_map: from a number to a place in a table, by open addressing. */
#ifndef MR_MAP_H
#define MR_MAP_H

#include "mr_base.h"

#define MR_NOWHERE UINT32_MAX

struct mr_map_cell {
    uint64_t key;
    uint32_t place; /* MR_NOWHERE: the cell is free */
};

struct mr_map {
    struct mr_map_cell *cells;
    uint64_t room; /* a power of two, or 0; at most three quarters of it are in use */
    uint64_t count;
};

void mr_map_clear(struct mr_map *map);

/* The place of a key, or MR_NOWHERE. */
uint32_t mr_map_get(const struct mr_map *map, uint64_t key);

/* Has the place of a key brought up from memory, without waiting for it. */
void mr_map_fetch(const struct mr_map *map, uint64_t key);

/* Makes room for one more key, so that the next mr_map_put cannot fail. Errors: MR_MEMORY. */
int mr_map_reserve(struct mr_map *map);

/* Puts a key that is not there; room was made for it. */
void mr_map_put(struct mr_map *map, uint64_t key, uint32_t place);

/* Takes out a key, if it is there. */
void mr_map_remove(struct mr_map *map, uint64_t key);

#endif /* MR_MAP_H */
