/* mr_log: what is known in memory of one replica's log: where its entries are, their terms, small states. */
#ifndef MR_LOG_H
#define MR_LOG_H

#include "mr_array.h"

/* cffi: begin */

/* The small states of a replica. Each is written in a batch, its carrier (0: it follows from the birth and is
 * written nowhere), and was first written in another one or the same, its origin: of two values the one of
 * the later origin counts. */
#define MR_STATE_BIRTH 0
#define MR_STATE_MEMBERS 1
#define MR_STATE_HARD 2
#define MR_STATE_POINT 3
#define MR_STATES 4

/* What a small state counts as among the live bytes. */
#define MR_STATE_BYTES 64

/* The part of a log that has the same size always. */
struct mr_log_head {
    uint64_t replica;
    uint64_t point_index; /* the snapshot point: the log begins behind it */
    uint64_t point_term;
    uint64_t hard_term;
    uint64_t hard_vote;
    uint64_t hard_commit;
    uint64_t last_index; /* point_index if there are no entries */
    uint64_t carrier[4];
    uint64_t origin[4];
};

/* Live entries [low, high) of a run that begins with entry `first` and stands in batch `carrier` at `at`. */
struct mr_span {
    uint64_t low;
    uint64_t high;
    uint64_t first;
    uint64_t carrier;
    uint64_t at;
    uint64_t length;
};

/* cffi: end */

/* A run of entries in a batch. Of its entries those from max(first, the log's first index) up to
 * first + live are alive; the batch may hold more behind them, replaced since. 20 bytes: there may be one
 * for every entry of the node. */
struct mr_segment {
    uint64_t carrier : 44; /* as wide as the keys of the log have room for */
    uint64_t live : 20;
    uint32_t first; /* counted from the log's base */
    uint32_t at;
    uint32_t length;
} __attribute__((packed, aligned(4)));

/* From `first` on entries have `term`. */
struct mr_term_run {
    uint64_t first;
    uint64_t term;
};

/* Bytes of a META row behind their length, in one block of memory, owned by who holds it; NULL: no body. */
struct mr_body {
    uint8_t *block;
};

static inline uint32_t mr_body_length(const struct mr_body *body) {
    uint32_t length = 0;
    if (body->block != NULL) {
        memcpy(&length, body->block, sizeof(length));
    }
    return length;
}

static inline const uint8_t *mr_body_bytes(const struct mr_body *body) {
    return body->block == NULL ? NULL : body->block + sizeof(uint32_t);
}

struct mr_log {
    uint64_t group; /* 0: nobody lives here */
    uint64_t life;  /* which life of this place it is: a reader of an earlier one finds an empty log */
    uint64_t base;
    uint64_t
        touched; /* the batch in whose undo the head stands; during recovery, as of which it was loaded */
    union {
        uint64_t rescue; /* the collection that looked at the small states last, ... */
        uint64_t sure;   /* recovery, while in doubt: entries up to it are those that were promised, ... */
    };
    union {
        uint64_t rescued_from; /* ... and for which batch */
        uint64_t until;        /* ... and so are those from this one on */
    };
    struct mr_log_head head;
    struct mr_body birth;                 /* none: only rows of it have been found so far (recovery) */
    struct mr_body members;               /* none: those of the birth */
    MR_ARRAY(struct mr_segment) segments; /* ascending; without a hole except during recovery */
    MR_ARRAY(struct mr_term_run) terms;   /* ascending; may begin before the first index */
    struct mr_term_run first_term;        /* memory for one term, and for one segment: a resting log has no */
    struct mr_segment first_segment;      /* more. A log never moves, so arrays may stand inside of it. */
    uint32_t doubts;                      /* MR_DOUBT_... */
};

static inline uint64_t mr_segment_first(const struct mr_log *log, uint32_t position) {
    return log->base + log->segments.items[position].first;
}

static inline uint64_t mr_segment_end(const struct mr_log *log, uint32_t position) {
    return mr_segment_first(log, position) + log->segments.items[position].live;
}

/* A newborn or provisional log at snapshot point (1, 1), commit 1. */
void mr_log_begin(struct mr_log *log, uint64_t group, uint64_t replica);

/* Gives the memory back; the place may begin another life. */
void mr_log_end(struct mr_log *log);

/* Makes room for `more` further segments, or terms; nothing else may. Errors: MR_MEMORY, MR_TOO_MANY. */
int mr_log_reserve(struct mr_log *log, uint64_t more);
int mr_log_reserve_terms(struct mr_log *log, uint64_t more);

/* Bytes of memory that it takes beside itself. */
uint64_t mr_log_memory(const struct mr_log *log);

/* The first position whose segment begins at `index` or later. */
uint32_t mr_log_position(const struct mr_log *log, uint64_t index);

/* The position of the term that holds at `index`, plus one; 0 if none does. */
uint32_t mr_log_term_position(const struct mr_log *log, uint64_t index);

/* The term at `index`; 0 if it is before the point or beyond the end. */
uint64_t mr_log_term(const struct mr_log *log, uint64_t index);

/* Makes a segment. Errors: MR_RANGE if a number does not fit it, MR_MEMORY. */
int mr_log_segment(struct mr_log *log, const struct mr_span *span, struct mr_segment *made);

/* Puts a segment, or a term, before `position`. Errors: MR_MEMORY, MR_TOO_MANY. */
int mr_log_insert(struct mr_log *log, uint32_t position, const struct mr_segment *segment);
int mr_log_insert_term(struct mr_log *log, uint32_t position, struct mr_term_run term);

/* Takes out `count` of them from `position` on. */
void mr_log_remove(struct mr_log *log, uint32_t position, uint32_t count);
void mr_log_remove_terms(struct mr_log *log, uint32_t position, uint32_t count);

/* Puts `count` of them back in front of `position`, which was their place. Errors: MR_MEMORY. */
int mr_log_put_back(struct mr_log *log, uint32_t position, const struct mr_segment *segments, uint32_t count);
int mr_log_put_back_terms(struct mr_log *log, uint32_t position, const struct mr_term_run *terms,
                          uint32_t count);

#endif /* MR_LOG_H */
