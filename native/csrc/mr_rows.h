/* mr_rows: the rows of a section of a log batch, as they are stored. */
#ifndef MR_ROWS_H
#define MR_ROWS_H

#include "mr_base.h"

/* A section of appended rows, little-endian, every part padded to 8 bytes:
 *
 *   group 8 a row | replica 8 a row | run length 4 a row | parts 1 a row | the runs, without a gap
 *   | for each row with MR_PART_HARD: term 8, vote 8, commit 8
 *   | for each row with MR_PART_TRUNCATION: index 8, term 8
 *
 * A section of rewritten rows has origin 8 a row behind the replicas: the batch that wrote the item first. */

/* cffi: begin */

#define MR_PART_HARD 1
#define MR_PART_TRUNCATION 2

/* A section and how far it has been read. Offsets count from `data`; `base` is where `data` stands in its
 * batch. */
struct mr_rows {
    const uint8_t *data;
    uint64_t length;
    uint64_t base;
    uint64_t rows;
    uint64_t row; /* the next one */
    uint64_t replicas_at;
    uint64_t origins_at; /* 0: appended rows */
    uint64_t lengths_at;
    uint64_t parts_at;
    uint64_t run_at; /* of the next row, as the two below */
    uint64_t hard_at;
    uint64_t truncation_at;
};

/* Opens the section that fills `data` exactly; `data` must live as long as `rows` is read.
 * Errors: MR_LENGTH if the parts do not add up, MR_RANGE if they do not fit a batch. */
int mr_rows_open(const uint8_t *data, uint64_t length, uint64_t base, uint64_t count, int rewritten,
                 struct mr_rows *rows);

/* Reads the next row, of which there is one, and tells its group, where its run stands in the batch, and the
 * run's length. */
void mr_rows_next_run(struct mr_rows *rows, uint64_t *found);

/* cffi: end */

/* One row. Parts that it has not are zero. */
struct mr_row {
    uint64_t group;
    uint64_t replica;
    uint64_t origin; /* 0 in appended rows */
    uint8_t parts;
    const uint8_t *run; /* run_length bytes */
    uint64_t run_length;
    uint64_t run_at; /* where the run stands in the batch */
    uint64_t hard[3];
    uint64_t truncation[2];
};

/* The group of a row; there is one of that number. */
uint64_t mr_rows_group(const struct mr_rows *rows, uint64_t row);

/* Reads the next row; there is one. */
void mr_rows_next(struct mr_rows *rows, struct mr_row *row);

/* The bounds of a row's run, [first, end), and whether terms rise in it. Checksums are not looked at.
 * Errors: as mr_run_open, and MR_ORDER if a term is smaller than the one before it. */
struct mr_run_shape {
    uint64_t first;
    uint64_t end;
    uint64_t first_term;
    uint64_t last_term;
};
int mr_run_look(const uint8_t *run, uint64_t length, struct mr_run_shape *shape);

/* The term of entry `index` of a run of that shape. */
uint64_t mr_run_term(const uint8_t *run, const struct mr_run_shape *shape, uint64_t index);

/* Bytes of a run's part [low, high); the part is not empty and in the run.
 * Errors: MR_LENGTH if the entries are not as long as the run says. */
int mr_run_part_size(const uint8_t *run, const struct mr_run_shape *shape, uint64_t length, uint64_t low,
                     uint64_t high, uint64_t *size);

/* Writes that part as a run; its entries keep their checksums, so that copying cannot hide damage. */
void mr_run_part_write(const uint8_t *run, const struct mr_run_shape *shape, uint64_t low, uint64_t high,
                       uint8_t *target);

static inline uint64_t mr_padded(uint64_t length) {
    return (length + 7) & ~UINT64_C(7);
}

#endif /* MR_ROWS_H */
