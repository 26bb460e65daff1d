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

enum { MR_TAIL = 4 };

/* In cache lines: what an append needs comes first, and what is needed seldom is the last line.
 *
 * The newest segments stand in the log itself, and move to the array when there is no room left: with
 * thousands of logs each array lies in pages of its own, which to find takes as long as all else of an
 * append. A log that rests has no array at all. */
struct mr_log {
    struct mr_log_head head;
    uint64_t touched; /* the batch in whose undo the whole head stands; recovery: as of which it was loaded */
    uint64_t group;   /* 0: nobody lives here */
    uint64_t base;    /* indexes of segments count from it */
    MR_ARRAY(struct mr_segment) older;  /* ascending with the tail; without a hole except during recovery */
    MR_ARRAY(struct mr_term_run) terms; /* ascending; may begin before the first index */
    struct mr_term_run first_term;      /* memory for one term: a resting log has no more */
    uint32_t tail_count;
    struct mr_segment tail[MR_TAIL];
    uint32_t doubts; /* MR_DOUBT_... */
    uint64_t life;   /* which life of this place it is: a reader of an earlier one finds an empty log */
    union {
        uint64_t rescue; /* the collection that looked at the small states last, ... */
        uint64_t sure;   /* recovery, while in doubt: entries up to it are those that were promised, ... */
    };
    union {
        uint64_t rescued_from; /* ... and for which batch */
        uint64_t until;        /* ... and so are those from this one on */
    };
    struct mr_body birth;   /* none: only rows of it have been found so far (recovery) */
    struct mr_body members; /* none: those of the birth */
};

/* How many segments a log has. */
static inline uint32_t mr_log_segments(const struct mr_log *log) {
    return log->older.count + log->tail_count;
}

/* The segment at a position, which is there; valid until one is added or removed. */
static inline struct mr_segment *mr_segment_at(const struct mr_log *log, uint32_t position) {
    if (position < log->older.count) {
        return &log->older.items[position];
    }
    return (struct mr_segment *)&log->tail[position - log->older.count];
}

static inline uint64_t mr_segment_first(const struct mr_log *log, uint32_t position) {
    return log->base + mr_segment_at(log, position)->first;
}

static inline uint64_t mr_segment_end(const struct mr_log *log, uint32_t position) {
    return mr_segment_first(log, position) + mr_segment_at(log, position)->live;
}

/* A newborn or provisional log at snapshot point (1, 1), commit 1. */
void mr_log_begin(struct mr_log *log, uint64_t group, uint64_t replica);

/* Gives the memory back; the place may begin another life. */
void mr_log_end(struct mr_log *log);

/* Makes room for `more` further segments, or terms; nothing else may. Errors: MR_MEMORY, MR_TOO_MANY. */
int mr_log_reserve(struct mr_log *log, uint64_t more);
int mr_log_reserve_terms(struct mr_log *log, uint64_t more);

/* Where the next segment goes, for which room was made; it is there once `tail_count` says so. */
struct mr_segment *mr_log_slot(struct mr_log *log);

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
