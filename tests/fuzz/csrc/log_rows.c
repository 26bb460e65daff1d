/* Sections of a log batch: any bytes are rows or refused; what rows name lies within the section, and a part
 * of a run is the run that these entries make.
 *
 * Input: bit 0 of the first byte: rewritten rows; then the count of rows; then the section. */
#include "fuzz.h"

#include "mr_rows.h"

static void require_part(const struct mr_row *row, const struct mr_run_shape *shape) {
    uint64_t count = shape->end - shape->first;
    uint64_t low = shape->first + row->group % count;
    uint64_t high = low + 1 + row->replica % (shape->end - low);
    uint64_t size = 0;
    if (mr_run_part_size(row->run, shape, row->run_length, low, high, &size) != MR_OK) {
        return;
    }
    uint8_t *part = fuzz_block(size);
    mr_run_part_write(row->run, shape, low, high, part);
    struct mr_run opened;
    struct mr_run_shape cut;
    REQUIRE(mr_run_open(part, size, &opened) == MR_OK && mr_run_look(part, size, &cut) == MR_OK);
    REQUIRE(cut.first == low && cut.end == high && opened.count == high - low);
    for (uint64_t entry = low; entry < high; entry++) {
        REQUIRE(mr_run_term(part, &cut, entry) == mr_run_term(row->run, shape, entry));
    }
    fuzz_observe(part, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    int rewritten = (int)(fuzz_take(&input, 1) & 1);
    uint64_t count = fuzz_take(&input, 1);
    fuzz_reset();
    const uint8_t *section = fuzz_copy(input.data, input.size);
    struct mr_rows rows;
    if (mr_rows_open(section, input.size, 7, count, rewritten, &rows) != MR_OK) {
        return 0;
    }
    struct mr_rows again = rows;
    while (rows.row < rows.rows) {
        struct mr_row row;
        uint64_t found[3];
        mr_rows_next(&rows, &row);
        mr_rows_next_run(&again, found);
        REQUIRE(found[0] == row.group && found[1] == row.run_at && found[2] == row.run_length);
        REQUIRE(row.run >= section && row.run + row.run_length <= section + input.size);
        REQUIRE(row.run_at == 7 + (uint64_t)(row.run - section));
        fuzz_observe(&row, sizeof(row));
        fuzz_observe(row.run, row.run_length);
        struct mr_run_shape shape;
        if (row.run_length > 0 && mr_run_look(row.run, row.run_length, &shape) == MR_OK) {
            REQUIRE(shape.first < shape.end && shape.first_term <= shape.last_term);
            require_part(&row, &shape);
        }
    }
    REQUIRE(rows.truncation_at == input.size);
    return 0;
}
