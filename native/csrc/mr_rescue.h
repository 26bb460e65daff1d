/* mr_rescue: what is still alive in the oldest batches, on its way into the one being staged. */
#ifndef MR_RESCUE_H
#define MR_RESCUE_H

#include "mr_logindex.h"

/* cffi: begin */

struct mr_rescue;

/* What a rescue holds. */
struct mr_rescue_totals {
    uint64_t runs;
    uint64_t states;  /* hard states and points, which become rows */
    uint64_t metas;   /* births, members and tombstones, which become META rows */
    uint64_t bytes;   /* live bytes */
    uint64_t section; /* bytes of the section of rewritten rows; 0 if there are none */
};

/* A META row to be written again; `kind` is MR_STATE_BIRTH, MR_STATE_MEMBERS or MR_RESCUE_TOMBSTONE. */
#define MR_RESCUE_TOMBSTONE 4
struct mr_rescued_meta {
    uint64_t group;
    uint64_t replica;
    uint64_t origin;
    uint32_t place;
    uint32_t kind;
};

/* NULL: no memory. */
struct mr_rescue *mr_rescue_new(void);
void mr_rescue_free(struct mr_rescue *rescue);

/* Begins anew, for one batch that is being staged. */
void mr_rescue_begin(struct mr_rescue *rescue, struct mr_logindex *index);

/* Finds what lives in the rows of batch `seq`; the bytes are copied. No further row is begun once `bound`
 * live bytes have been found: `rows` says how far it came. Errors: a bad run (see mr_run_look), MR_LENGTH,
 * MR_MEMORY; what was found of the batch must be dropped. */
int mr_rescue_rows(struct mr_rescue *rescue, const struct mr_logindex *index, uint64_t seq,
                   struct mr_rows *rows, uint64_t bound);

/* Finds what lives in a run of the group that stands at `at` of batch `seq`, which cannot be read itself:
 * `run` takes its place and begins with the same entry. Errors: as above. */
int mr_rescue_run(struct mr_rescue *rescue, const struct mr_logindex *index, uint64_t seq, uint64_t group,
                  uint64_t at, const uint8_t *run, uint64_t length);

/* Finds all small states and tombstones that batch `seq` carries, wherever in it; looks at every log.
 * Errors: MR_MEMORY. */
int mr_rescue_states(struct mr_rescue *rescue, const struct mr_logindex *index, uint64_t seq);

/* Finds what lives in batch `seq` of a group named by its META rows. Errors: MR_MEMORY. */
int mr_rescue_group(struct mr_rescue *rescue, const struct mr_logindex *index, uint64_t seq, uint64_t group);

/* Finds whether the group's tombstone is written in batch `seq`. Errors: MR_MEMORY. */
int mr_rescue_tombstone(struct mr_rescue *rescue, const struct mr_logindex *index, uint64_t seq,
                        uint64_t group);

/* Everything found since the last call is wanted, or (the batch is damaged) none of it. */
void mr_rescue_keep(struct mr_rescue *rescue);
void mr_rescue_drop(struct mr_rescue *rescue);

void mr_rescue_totals(const struct mr_rescue *rescue, struct mr_rescue_totals *totals);

/* The META row of a number; its state is still to be moved by mr_logindex_move_state or _tombstone. */
void mr_rescue_meta(const struct mr_rescue *rescue, uint64_t number, struct mr_rescued_meta *meta);

/* Writes the section of rewritten rows, which will stand at `base` of the newest batch, into `target`, which
 * has room for it, and points the index at it. Errors: MR_MEMORY, MR_RANGE, MR_BUG. */
int mr_rescue_write(struct mr_rescue *rescue, struct mr_logindex *index, uint64_t base, uint8_t *target);

/* cffi: end */

#endif /* MR_RESCUE_H */
