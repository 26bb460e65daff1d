#include "mr_ledger.h"

#include <stdlib.h>
#include <string.h>

/* Sequence numbers that failed commits may have left out between two batches. */
enum { GAP_MAX = 1 << 16, FIRST_ROOM = 64 };

static struct mr_stored *at(const struct mr_ledger *ledger, uint64_t place) {
    return &ledger->ring[(ledger->head + place) & (ledger->room - 1)];
}

void mr_ledger_clear(struct mr_ledger *ledger) {
    free(ledger->ring);
    *ledger = (struct mr_ledger){0};
}

struct mr_stored *mr_ledger_find(const struct mr_ledger *ledger, uint64_t seq) {
    if (ledger->count == 0 || seq < ledger->oldest || seq - ledger->oldest >= ledger->count) {
        return NULL;
    }
    struct mr_stored *found = at(ledger, seq - ledger->oldest);
    return found->seq == seq ? found : NULL;
}

struct mr_stored *mr_ledger_oldest(const struct mr_ledger *ledger) {
    return ledger->count == 0 ? NULL : at(ledger, 0);
}

struct mr_stored *mr_ledger_newest(const struct mr_ledger *ledger) {
    return ledger->count == 0 ? NULL : at(ledger, ledger->count - 1);
}

static int reserve(struct mr_ledger *ledger, uint64_t more) {
    uint64_t needed = ledger->count + more;
    if (needed <= ledger->room) {
        return MR_OK;
    }
    uint64_t room = ledger->room == 0 ? FIRST_ROOM : ledger->room;
    while (room < needed) {
        room *= 2;
    }
    struct mr_stored *ring = calloc(room, sizeof(*ring));
    if (ring == NULL) {
        return MR_MEMORY;
    }
    for (uint64_t i = 0; i < ledger->count; i++) {
        ring[i] = *at(ledger, i);
    }
    free(ledger->ring);
    ledger->ring = ring;
    ledger->room = room;
    ledger->head = 0;
    return MR_OK;
}

int mr_ledger_open(struct mr_ledger *ledger, uint64_t seq) {
    uint64_t next = ledger->count == 0 ? seq : ledger->oldest + ledger->count;
    if (seq == 0 || seq < next || seq - next > GAP_MAX) {
        return MR_ORDER;
    }
    int status = reserve(ledger, seq - next + 1);
    if (status != MR_OK) {
        return status;
    }
    if (ledger->count == 0) {
        ledger->oldest = seq;
    }
    for (uint64_t unused = next; unused < seq; unused++) {
        *at(ledger, ledger->count++) = (struct mr_stored){0};
    }
    *at(ledger, ledger->count++) = (struct mr_stored){.seq = seq};
    ledger->batches++;
    return MR_OK;
}

int mr_ledger_measure(struct mr_ledger *ledger, uint64_t seq, uint32_t chunks, uint64_t size) {
    struct mr_stored *stored = mr_ledger_find(ledger, seq);
    MR_ASSERT(stored != NULL && stored->size == 0);
    stored->chunks = chunks;
    stored->size = size;
    ledger->stored_bytes += size;
    ledger->chunks += chunks;
    return MR_OK;
}

int mr_ledger_withdraw(struct mr_ledger *ledger, uint64_t seq) {
    struct mr_stored *newest = mr_ledger_newest(ledger);
    MR_ASSERT(newest != NULL && newest->seq == seq);
    ledger->stored_bytes -= newest->size;
    ledger->chunks -= newest->chunks;
    ledger->batches--;
    do {
        ledger->count--;
        newest = mr_ledger_newest(ledger);
    } while (newest != NULL && newest->seq == 0);
    return MR_OK;
}

int mr_ledger_retire(struct mr_ledger *ledger, struct mr_stored *retired) {
    struct mr_stored *oldest = mr_ledger_oldest(ledger);
    MR_ASSERT(oldest != NULL && oldest->live == 0);
    *retired = *oldest;
    ledger->stored_bytes -= oldest->size;
    ledger->chunks -= oldest->chunks;
    ledger->batches--;
    do {
        ledger->head = (ledger->head + 1) & (ledger->room - 1);
        ledger->oldest++;
        ledger->count--;
        oldest = mr_ledger_oldest(ledger);
    } while (oldest != NULL && oldest->seq == 0);
    return MR_OK;
}

int mr_ledger_restore(struct mr_ledger *ledger, const struct mr_stored *retired) {
    MR_ASSERT(ledger->count > 0 && retired->seq < ledger->oldest);
    uint64_t places = ledger->oldest - retired->seq;
    int status = reserve(ledger, places);
    if (status != MR_OK) {
        return status;
    }
    ledger->head = (ledger->head - places) & (ledger->room - 1);
    ledger->oldest = retired->seq;
    ledger->count += places;
    *at(ledger, 0) = *retired;
    for (uint64_t i = 1; i < places; i++) {
        *at(ledger, i) = (struct mr_stored){0};
    }
    ledger->stored_bytes += retired->size;
    ledger->chunks += retired->chunks;
    ledger->batches++;
    return MR_OK;
}
