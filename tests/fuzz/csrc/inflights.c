/* The window of messages in flight: any sequence of calls does what a plain list does.
 *
 * Input: mode 1 | size 1 | byte limit 1, then operations of one to three bytes. Bit 0 of the mode starts from
 * a window whose fields the input makes up: every call must leave such a window alone or stay in its memory.
 */
#include "fuzz.h"
#include "mr_inflights.h"

enum { SIZE_MAX_ = 33, MADE_UP = 1 };
enum operation { ADD, ADD_ANY, FREE_LE, FREE_FIRST, RESET, GROW, OPERATIONS };

struct model {
    struct mr_inflight messages[SIZE_MAX_];
    uint32_t count;
    uint64_t bytes;
    uint64_t newest;
};

static int grow(struct mr_inflights *window, uint32_t capacity) {
    struct mr_inflight *records = fuzz_block(sizeof(*records) * capacity);
    return mr_inflights_grow(window, records, capacity);
}

static int model_full(const struct model *model, const struct mr_inflights *window) {
    return model->count == window->size || (window->max_bytes > 0 && model->bytes >= window->max_bytes);
}

static void add(struct model *model, struct mr_inflights *window, uint64_t index, uint64_t bytes) {
    int full = model_full(model, window);
    int ordered = model->count == 0 || index > model->messages[model->count - 1].index;
    REQUIRE(mr_inflights_full(window) == full);
    int status = mr_inflights_add(window, index, bytes);
    if (status == MR_GROW) {
        REQUIRE(!full && ordered && window->count == window->capacity);
        REQUIRE(grow(window, mr_inflights_next_capacity(window)) == MR_OK);
        status = mr_inflights_add(window, index, bytes);
    }
    REQUIRE(status == (full ? MR_FULL : ordered ? MR_OK : MR_ORDER));
    if (status == MR_OK) {
        model->messages[model->count++] = (struct mr_inflight){index, bytes};
        model->bytes += bytes;
        model->newest = index;
    }
}

static void free_le(struct model *model, uint64_t index) {
    uint32_t freed = 0;
    while (freed < model->count && model->messages[freed].index <= index) {
        model->bytes -= model->messages[freed].bytes;
        freed++;
    }
    model->count -= freed;
    memmove(model->messages, model->messages + freed, sizeof(model->messages[0]) * model->count);
}

static void require_same(const struct model *model, const struct mr_inflights *window) {
    REQUIRE(window->count == model->count && window->bytes == model->bytes);
    REQUIRE(window->count <= window->capacity && window->capacity <= window->size);
    for (uint32_t i = 0; i < model->count; i++) {
        const struct mr_inflight *record = &window->records[(window->start + i) % window->capacity];
        REQUIRE(record->index == model->messages[i].index && record->bytes == model->messages[i].bytes);
    }
}

static void operate(struct model *model, struct mr_inflights *window, struct fuzz_input *input) {
    uint64_t number;
    switch (fuzz_take(input, 1) % OPERATIONS) {
    case ADD:
        number = model->newest + 1 + fuzz_take(input, 1) % 4;
        add(model, window, number, fuzz_take(input, 1));
        break;
    case ADD_ANY:
        number = fuzz_take(input, 8);
        add(model, window, number, fuzz_take(input, 2));
        break;
    case FREE_LE:
        number = fuzz_take(input, 1);
        number = number < model->newest ? model->newest - number : 0;
        REQUIRE(mr_inflights_free_le(window, number) == MR_OK);
        free_le(model, number);
        break;
    case FREE_FIRST:
        REQUIRE(mr_inflights_free_first_one(window) == MR_OK);
        if (model->count > 0) {
            free_le(model, model->messages[0].index);
        }
        break;
    case GROW:
        number = fuzz_take(input, 1) % (SIZE_MAX_ + 1);
        int allowed = number > window->capacity && number <= window->size;
        REQUIRE(grow(window, (uint32_t)number) == (allowed ? MR_OK : MR_BUG));
        break;
    default:
        mr_inflights_reset(window);
        *model = (struct model){0};
        REQUIRE(window->capacity == 0 && window->records == NULL);
    }
}

static void run_model(struct fuzz_input *input) {
    struct mr_inflights window;
    struct model model = {0};
    uint32_t size = (uint32_t)fuzz_take(input, 1) % SIZE_MAX_;
    mr_inflights_init(&window, size, fuzz_take(input, 1));
    while (input->size > 0) {
        operate(&model, &window, input);
        require_same(&model, &window);
    }
}

/* A window of made-up fields: consistent or not, its calls read and write its own records only. */
static void run_made_up(struct fuzz_input *input) {
    uint32_t held = (uint32_t)fuzz_take(input, 1) % SIZE_MAX_;
    struct mr_inflights window = {.capacity = held};
    window.size = (uint32_t)fuzz_take(input, 1) % (2 * SIZE_MAX_);
    window.start = (uint32_t)fuzz_take(input, 1) % (2 * SIZE_MAX_);
    window.count = (uint32_t)fuzz_take(input, 1) % (2 * SIZE_MAX_);
    window.bytes = fuzz_take(input, 8);
    window.max_bytes = fuzz_take(input, 1);
    window.records = held == 0 ? NULL : fuzz_block(sizeof(*window.records) * held);
    for (uint32_t i = 0; i < held; i++) {
        window.records[i].index = fuzz_take(input, 1);
        window.records[i].bytes = fuzz_take(input, 2);
    }
    struct mr_inflights before = window;
    uint64_t number = 0;
    int status = MR_OK;
    switch (fuzz_take(input, 1) % 4) {
    case 0:
        number = fuzz_take(input, 8);
        status = mr_inflights_add(&window, number, fuzz_take(input, 8));
        break;
    case 1:
        status = mr_inflights_free_le(&window, fuzz_take(input, 8));
        break;
    case 2:
        status = mr_inflights_free_first_one(&window);
        break;
    default:
        status = grow(&window, (uint32_t)fuzz_take(input, 1) % SIZE_MAX_);
    }
    REQUIRE(status == MR_OK || memcmp(&before, &window, sizeof(window)) == 0);
    REQUIRE(status != MR_OK || before.count == 0 || window.count <= window.capacity);
    fuzz_observe(&window, sizeof(window));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    fuzz_reset();
    if (fuzz_take(&input, 1) & MADE_UP) {
        run_made_up(&input);
    } else {
        run_model(&input);
    }
    return 0;
}
