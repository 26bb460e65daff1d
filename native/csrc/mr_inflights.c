#include "mr_inflights.h"

_Static_assert(sizeof(struct mr_inflight) == 16, "a record is two numbers");

static int check(const struct mr_inflights *window) {
    MR_ASSERT(window->count <= window->capacity);
    MR_ASSERT(window->capacity <= window->size);
    MR_ASSERT(window->start < window->capacity || (window->start == 0 && window->capacity == 0));
    MR_ASSERT(window->records != NULL || window->capacity == 0);
    return MR_OK;
}

/* The record that is `offset` places behind the oldest; offset < capacity. */
static struct mr_inflight *record_at(const struct mr_inflights *window, uint32_t offset) {
    uint64_t place = (uint64_t)window->start + offset;
    if (place >= window->capacity) {
        place -= window->capacity;
    }
    return &window->records[place];
}

void mr_inflights_init(struct mr_inflights *window, uint32_t size, uint64_t max_bytes) {
    *window = (struct mr_inflights){.size = size, .max_bytes = max_bytes};
}

int mr_inflights_full(const struct mr_inflights *window) {
    return window->count >= window->size || (window->max_bytes != 0 && window->bytes >= window->max_bytes);
}

uint32_t mr_inflights_next_capacity(const struct mr_inflights *window) {
    uint64_t doubled = window->capacity == 0 ? 1 : (uint64_t)window->capacity * 2;
    return doubled < window->size ? (uint32_t)doubled : window->size;
}

int mr_inflights_grow(struct mr_inflights *window, struct mr_inflight *records, uint32_t capacity) {
    int status = check(window);
    if (status != MR_OK) {
        return status;
    }
    MR_ASSERT(records != NULL && records != window->records);
    MR_ASSERT(capacity > window->capacity && capacity <= window->size);
    for (uint32_t i = 0; i < window->count; i++) {
        records[i] = *record_at(window, i);
    }
    window->records = records;
    window->capacity = capacity;
    window->start = 0;
    return MR_OK;
}

int mr_inflights_add(struct mr_inflights *window, uint64_t index, uint64_t bytes) {
    int status = check(window);
    if (status != MR_OK) {
        return status;
    }
    if (mr_inflights_full(window)) {
        return MR_FULL;
    }
    if (window->count > 0 && index <= record_at(window, window->count - 1)->index) {
        return MR_ORDER;
    }
    if (window->count == window->capacity) {
        return MR_GROW;
    }
    MR_ASSERT(bytes <= UINT64_MAX - window->bytes);
    *record_at(window, window->count) = (struct mr_inflight){.index = index, .bytes = bytes};
    window->count++;
    window->bytes += bytes;
    return MR_OK;
}

int mr_inflights_free_le(struct mr_inflights *window, uint64_t index) {
    int status = check(window);
    if (status != MR_OK) {
        return status;
    }
    uint32_t freed = 0;
    uint64_t freed_bytes = 0;
    while (freed < window->count && record_at(window, freed)->index <= index) {
        freed_bytes += record_at(window, freed)->bytes;
        freed++;
    }
    MR_ASSERT(freed_bytes <= window->bytes);
    window->bytes -= freed_bytes;
    window->count -= freed;
    if (window->count == 0) {
        window->start = 0; /* an empty window refills from the left and does not grow for nothing */
    } else {
        window->start = (uint32_t)(((uint64_t)window->start + freed) % window->capacity);
    }
    return MR_OK;
}

int mr_inflights_free_first_one(struct mr_inflights *window) {
    if (window->count == 0) {
        return MR_OK;
    }
    int status = check(window);
    if (status != MR_OK) {
        return status;
    }
    return mr_inflights_free_le(window, record_at(window, 0)->index);
}

void mr_inflights_reset(struct mr_inflights *window) {
    mr_inflights_init(window, window->size, window->max_bytes);
}
