#include "mr_map.h"

#include <stdlib.h>

enum { FIRST_ROOM = 16 };

/* Ids are mostly consecutive; the multiplication spreads them over the high bits. */
static uint64_t home(const struct mr_map *map, uint64_t key) {
    uint64_t mixed = (key ^ (key >> 32)) * UINT64_C(0x9E3779B97F4A7C15);
    return (mixed ^ (mixed >> 29)) & (map->room - 1);
}

static uint32_t place_at(const struct mr_map *map, uint64_t i) {
    return map->is_wide ? map->wide[i].place : map->narrow[i].place;
}

static uint64_t key_at(const struct mr_map *map, uint64_t i) {
    return map->is_wide ? map->wide[i].key : map->narrow[i].key;
}

static void set(struct mr_map *map, uint64_t i, uint64_t key, uint32_t place) {
    if (map->is_wide) {
        map->wide[i] = (struct mr_map_wide_cell){.key = key, .place = place};
    } else {
        map->narrow[i] = (struct mr_map_narrow_cell){.key = (uint32_t)key, .place = place};
    }
}

static void free_cells(struct mr_map *map) {
    if (map->is_wide) {
        free(map->wide);
    } else {
        free(map->narrow);
    }
}

void mr_map_clear(struct mr_map *map) {
    free_cells(map);
    *map = (struct mr_map){0};
}

uint64_t mr_map_memory(const struct mr_map *map) {
    return map->room * (map->is_wide ? sizeof(*map->wide) : sizeof(*map->narrow));
}

/* The cell that holds `key`, or the free one where it would go. */
static uint64_t find(const struct mr_map *map, uint64_t key) {
    uint64_t i = home(map, key);
    while (place_at(map, i) != MR_NOWHERE && key_at(map, i) != key) {
        i = (i + 1) & (map->room - 1);
    }
    return i;
}

uint32_t mr_map_get(const struct mr_map *map, uint64_t key) {
    return map->room == 0 ? MR_NOWHERE : place_at(map, find(map, key));
}

void mr_map_fetch(const struct mr_map *map, uint64_t key) {
    if (map->room > 0) {
        uint64_t i = home(map, key);
        __builtin_prefetch(map->is_wide ? (const void *)(map->wide + i) : (const void *)(map->narrow + i));
    }
}

int mr_map_reserve(struct mr_map *map, uint64_t key) {
    int has_room = map->room > 0 && 4 * (map->count + 1) <= 3 * map->room;
    if (has_room && (map->is_wide || key <= UINT32_MAX)) {
        return MR_OK;
    }
    struct mr_map larger = {.room = map->room == 0 ? FIRST_ROOM
                                    : has_room     ? map->room
                                                   : 2 * map->room,
                            .is_wide = map->is_wide || key > UINT32_MAX};
    if (larger.is_wide) {
        larger.wide = malloc(larger.room * sizeof(*larger.wide));
    } else {
        larger.narrow = malloc(larger.room * sizeof(*larger.narrow));
    }
    if (larger.is_wide ? larger.wide == NULL : larger.narrow == NULL) {
        return MR_MEMORY;
    }
    for (uint64_t i = 0; i < larger.room; i++) {
        set(&larger, i, 0, MR_NOWHERE);
    }
    for (uint64_t i = 0; i < map->room; i++) {
        if (place_at(map, i) != MR_NOWHERE) {
            mr_map_put(&larger, key_at(map, i), place_at(map, i));
        }
    }
    free_cells(map);
    *map = larger;
    return MR_OK;
}

void mr_map_put(struct mr_map *map, uint64_t key, uint32_t place) {
    set(map, find(map, key), key, place);
    map->count++;
}

/* Cells behind a removed one move up where they may, so that no search ends too early. */
void mr_map_remove(struct mr_map *map, uint64_t key) {
    if (map->room == 0) {
        return;
    }
    uint64_t hole = find(map, key);
    if (place_at(map, hole) == MR_NOWHERE) {
        return;
    }
    uint64_t mask = map->room - 1;
    for (uint64_t i = (hole + 1) & mask; place_at(map, i) != MR_NOWHERE; i = (i + 1) & mask) {
        uint64_t wanted = home(map, key_at(map, i));
        if (((i - wanted) & mask) >= ((i - hole) & mask)) {
            set(map, hole, key_at(map, i), place_at(map, i));
            hole = i;
        }
    }
    set(map, hole, 0, MR_NOWHERE);
    map->count--;
}
