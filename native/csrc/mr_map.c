#include "mr_map.h"

#include <stdlib.h>

enum { FIRST_ROOM = 16 };

/* Ids are mostly consecutive; the multiplication spreads them over the high bits. */
static uint64_t home(const struct mr_map *map, uint64_t key) {
    uint64_t mixed = (key ^ (key >> 32)) * UINT64_C(0x9E3779B97F4A7C15);
    return (mixed ^ (mixed >> 29)) & (map->room - 1);
}

void mr_map_clear(struct mr_map *map) {
    free(map->cells);
    *map = (struct mr_map){0};
}

/* The cell that holds `key`, or the free one where it would go. */
static struct mr_map_cell *find(const struct mr_map *map, uint64_t key) {
    uint64_t i = home(map, key);
    while (map->cells[i].place != MR_NOWHERE && map->cells[i].key != key) {
        i = (i + 1) & (map->room - 1);
    }
    return &map->cells[i];
}

uint32_t mr_map_get(const struct mr_map *map, uint64_t key) {
    return map->room == 0 ? MR_NOWHERE : find(map, key)->place;
}

void mr_map_fetch(const struct mr_map *map, uint64_t key) {
    if (map->room > 0) {
        __builtin_prefetch(map->cells + home(map, key));
    }
}

int mr_map_reserve(struct mr_map *map) {
    if (map->room > 0 && 4 * (map->count + 1) <= 3 * map->room) {
        return MR_OK;
    }
    struct mr_map larger = {.room = map->room == 0 ? FIRST_ROOM : 2 * map->room};
    larger.cells = malloc(larger.room * sizeof(*larger.cells));
    if (larger.cells == NULL) {
        return MR_MEMORY;
    }
    for (uint64_t i = 0; i < larger.room; i++) {
        larger.cells[i] = (struct mr_map_cell){.place = MR_NOWHERE};
    }
    for (uint64_t i = 0; i < map->room; i++) {
        if (map->cells[i].place != MR_NOWHERE) {
            mr_map_put(&larger, map->cells[i].key, map->cells[i].place);
        }
    }
    free(map->cells);
    *map = larger;
    return MR_OK;
}

void mr_map_put(struct mr_map *map, uint64_t key, uint32_t place) {
    *find(map, key) = (struct mr_map_cell){.key = key, .place = place};
    map->count++;
}

/* Cells behind a removed one move up where they may, so that no search ends too early. */
void mr_map_remove(struct mr_map *map, uint64_t key) {
    if (map->room == 0) {
        return;
    }
    struct mr_map_cell *cell = find(map, key);
    if (cell->place == MR_NOWHERE) {
        return;
    }
    uint64_t mask = map->room - 1;
    uint64_t hole = (uint64_t)(cell - map->cells);
    for (uint64_t i = (hole + 1) & mask; map->cells[i].place != MR_NOWHERE; i = (i + 1) & mask) {
        uint64_t wanted = home(map, map->cells[i].key);
        if (((i - wanted) & mask) >= ((i - hole) & mask)) {
            map->cells[hole] = map->cells[i];
            hole = i;
        }
    }
    map->cells[hole] = (struct mr_map_cell){.place = MR_NOWHERE};
    map->count--;
}
