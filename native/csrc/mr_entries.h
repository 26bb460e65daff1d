/* mr_entries: encoded runs, the one form in which consecutive entries of a group are logged and sent. */
#ifndef MR_ENTRIES_H
#define MR_ENTRIES_H

#include "mr_base.h"

/* A run, little-endian:
 *
 *   offset  bytes
 *        0      8  index of the first entry; the others follow without a gap
 *        8      4  count of entries, 1..MR_RUN_ENTRIES_MAX
 *       12      4  payload bytes of all entries together
 *       16     16  for each entry: term 8 | (type << 24 | payload length) 4 | crc32c 4
 *      ...         the payloads, one after the other
 *
 * An entry's checksum covers index, term, the word of type and length, and the payload. So a run that was
 * cut, joined or renumbered cannot pass for another one. */

/* cffi: begin */

#define MR_RUN_HEADER 16
#define MR_RUN_ROW 16
#define MR_RUN_ENTRIES_MAX 65536
#define MR_ENTRY_BYTES_MAX 4198400
#define MR_RUN_BYTES_MAX 67108864

/* Where a decoder puts entries, column by column. Each array is the caller's and has room for `room`. */
struct mr_entry_columns {
    uint64_t room;
    uint64_t *term;
    uint64_t *index;
    uint8_t *type;
    uint32_t *start; /* where the payload begins, counted from the start of the buffer that was decoded */
    uint32_t *end;
};

/* What stands in the header of a run. */
struct mr_run {
    uint64_t first_index;
    uint64_t count;
    uint64_t last_term;
    uint64_t damaged_index; /* the first entry that cannot be trusted, when a call fails; else 0 */
};

/* Encodes `runs` runs back to back into `target`, which has room for `room` bytes.
 * `counts`: the entries of each run, u32le; a run of 0 entries takes 0 bytes. `numbers`: for all entries
 * together first their terms, then their indexes, then their payload lengths, each u64le. `types`: a byte
 * an entry. `payload`: all payloads, one after the other. `ends` receives where each run ends.
 * Errors: MR_TOO_MANY entries in a run, MR_TOO_LARGE an entry or a run, MR_ORDER an index that does not
 * follow the one before, MR_LENGTH if counts or lengths do not add up, MR_GROW if `room` is too small.
 * Then nothing is written but `failed`, the index of the entry where the check stopped. */
int mr_runs_encode(const uint8_t *counts, uint64_t runs, const uint8_t *numbers, const uint8_t *types,
                   uint64_t entries, const uint8_t *payload, uint64_t payload_bytes, uint8_t *target,
                   uint64_t room, uint64_t *ends, uint64_t *failed);

/* Reads the header of the run that fills `data` exactly. Lengths are checked, checksums are not.
 * Errors: MR_SHORT, MR_LENGTH, MR_TOO_MANY, MR_TOO_LARGE; only damaged_index is written then. */
int mr_run_open(const uint8_t *data, uint64_t length, struct mr_run *run);

/* Checks every length and checksum of the run that fills `data` exactly.
 * Errors: as mr_run_open, and MR_CHECKSUM. */
int mr_run_verify(const uint8_t *data, uint64_t length, struct mr_run *run);

/* Verifies the run and puts its entries into `columns`, from row 0.
 * Errors: as mr_run_verify, and MR_GROW if `columns` has no room; the columns are untouched then. */
int mr_run_decode(const uint8_t *data, uint64_t length, struct mr_run *run,
                  const struct mr_entry_columns *columns);

/* cffi: end */

/* The count of entries that the header of a run claims. */
static inline uint64_t mr_run_count(const uint8_t *data) {
    return mr_get_u32le(data + 8);
}

/* Puts the entries of a run that mr_run_verify has passed into `columns` from row `row`, which has room for
 * them. `base`: where the run begins within the buffer that `start` and `end` count from. */
void mr_run_fill(const uint8_t *data, uint64_t base, const struct mr_entry_columns *columns, uint64_t row);

#endif /* MR_ENTRIES_H */
