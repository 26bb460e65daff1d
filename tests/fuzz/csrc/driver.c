/* Drives a target where there is no libFuzzer: replays files, then mutates them for a number of runs.
 *
 *     driver -runs=N -seed=N -max_len=N -seconds=N -crash=FILE [INPUT...]
 *
 * Before each run the input is copied to FILE (its length u64, then its bytes), which is shared memory:
 * however the program ends, what ended it can be read there. */
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum { LENGTH_MAX = 1 << 16, SEEDS_MAX = 4096, MUTATIONS = 6, CLOCK_EVERY = 1024 };

struct seed {
    uint8_t *bytes;
    size_t length;
};

static struct seed seeds[SEEDS_MAX];
static size_t seed_count;
static uint64_t random_state;
static uint8_t *crash; /* shared with whoever started this */

static uint64_t draw(uint64_t below) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % below;
}

static uint64_t number_of(const char *text, const char *name, uint64_t otherwise) {
    size_t length = strlen(name);
    return strncmp(text, name, length) == 0 ? strtoull(text + length, NULL, 10) : otherwise;
}

static void share(const char *path) {
    size_t size = LENGTH_MAX + 8;
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    REQUIRE(file >= 0 && ftruncate(file, (off_t)size) == 0);
    crash = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    REQUIRE(crash != MAP_FAILED);
    (void)close(file);
}

static void read_seed(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(LENGTH_MAX);
    REQUIRE(file != NULL && bytes != NULL && seed_count < SEEDS_MAX);
    seeds[seed_count++] = (struct seed){bytes, fread(bytes, 1, LENGTH_MAX, file)};
    (void)fclose(file);
}

static void run(const uint8_t *bytes, size_t length) {
    if (crash != NULL) {
        mr_put_u64le(crash, length);
        memcpy(crash + 8, bytes, length);
    }
    (void)LLVMFuzzerTestOneInput(bytes, length);
}

/* A number that lies at a limit of something. */
static uint64_t interesting(void) {
    static const uint64_t NUMBERS[] = {0, 1, 2, 15, 16, 17, 127, 128, 255, 256, 4096, 65535, 65536, 16777215};
    uint64_t found = NUMBERS[draw(sizeof(NUMBERS) / sizeof(NUMBERS[0]))];
    return draw(4) == 0 ? UINT64_MAX - found : found;
}

static size_t mutate_once(uint8_t *bytes, size_t length, size_t most) {
    size_t at = length == 0 ? 0 : draw(length);
    switch (draw(6)) {
    case 0: /* a bit */
        bytes[at] ^= (uint8_t)(1u << draw(8));
        return length == 0 ? 1 : length;
    case 1: /* a byte */
        bytes[at] = (uint8_t)draw(256);
        return length == 0 ? 1 : length;
    case 2: /* a number */
        for (uint64_t i = 0, width = 1u << draw(4), value = interesting(); i < width && at + i < length;
             i++) {
            bytes[at + i] = (uint8_t)(value >> (8 * i));
        }
        return length;
    case 3: /* the end is cut off */
        return draw(2) == 0 ? at : length;
    case 4: { /* bytes are put in */
        size_t added = draw(32);
        added = added > most - length ? most - length : added;
        memmove(bytes + at + added, bytes + at, length - at);
        for (size_t i = 0; i < added; i++) {
            bytes[at + i] = (uint8_t)draw(256);
        }
        return length + added;
    }
    default: { /* a piece of another seed */
        const struct seed *other = &seeds[draw(seed_count)];
        size_t from = other->length == 0 ? 0 : draw(other->length);
        size_t taken = other->length == 0 ? 0 : draw(other->length - from) + 1;
        taken = taken > most - at ? most - at : taken;
        memcpy(bytes + at, other->bytes + from, taken);
        return at + taken > length ? at + taken : length;
    }
    }
}

static void mutate(uint64_t runs, uint64_t seconds, size_t most) {
    static uint8_t bytes[LENGTH_MAX];
    time_t end = time(NULL) + (time_t)seconds;
    uint64_t done = 0;
    for (; done < runs && (done % CLOCK_EVERY != 0 || time(NULL) < end); done++) {
        const struct seed *seed = &seeds[draw(seed_count)];
        size_t length = seed->length > most ? most : seed->length;
        memcpy(bytes, seed->bytes, length);
        for (uint64_t i = draw(MUTATIONS) + 1; i > 0; i--) {
            length = mutate_once(bytes, length, most);
        }
        run(bytes, length);
    }
    (void)printf("runs: %llu\n", (unsigned long long)done);
}

int main(int count, char **arguments) {
    uint64_t runs = 0;
    uint64_t seconds = UINT32_MAX;
    uint64_t most = LENGTH_MAX;
    uint64_t seed = 1;
    for (int i = 1; i < count; i++) {
        runs = number_of(arguments[i], "-runs=", runs);
        seconds = number_of(arguments[i], "-seconds=", seconds);
        most = number_of(arguments[i], "-max_len=", most);
        seed = number_of(arguments[i], "-seed=", seed);
        if (strncmp(arguments[i], "-crash=", 7) == 0) {
            share(arguments[i] + 7);
        } else if (arguments[i][0] != '-') {
            read_seed(arguments[i]);
        }
    }
    REQUIRE(most > 0 && most <= LENGTH_MAX);
    random_state = 0x9E3779B97F4A7C15u * (seed + 1);
    for (size_t i = 0; i < seed_count; i++) {
        run(seeds[i].bytes, seeds[i].length);
    }
    (void)printf("replayed: %zu\n", seed_count);
    if (seed_count == 0) {
        seeds[seed_count++] = (struct seed){malloc(1), 0};
    }
    mutate(runs, seconds, most);
    return 0;
}
