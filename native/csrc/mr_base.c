#include "mr_base.h"

#include <stdio.h>

#define MR_STATUS_NAME(name, code, text) #name,
static const char *const STATUS_NAMES[] = {MR_STATUS_MAP(MR_STATUS_NAME)};
#undef MR_STATUS_NAME

#define MR_STATUS_TEXT(name, code, text) text,
static const char *const STATUS_TEXTS[] = {MR_STATUS_MAP(MR_STATUS_TEXT)};
#undef MR_STATUS_TEXT

enum { STATUS_COUNT = sizeof(STATUS_NAMES) / sizeof(STATUS_NAMES[0]) };

/* The tables are indexed by -code: a gap or a repetition in the map would shift them. */
#define MR_STATUS_PLUS_ONE(name, code, text) +1
_Static_assert(MR_TWICE == -((0 MR_STATUS_MAP(MR_STATUS_PLUS_ONE)) - 1), "codes count down without gaps");
#undef MR_STATUS_PLUS_ONE

static _Thread_local char last_bug[256];

int mr_status_count(void) {
    return STATUS_COUNT;
}

static const char *look_up(const char *const *table, int status) {
    if (status > 0 || status <= -STATUS_COUNT) {
        return "?";
    }
    return table[-status];
}

const char *mr_status_name(int status) {
    return look_up(STATUS_NAMES, status);
}

const char *mr_status_text(int status) {
    return look_up(STATUS_TEXTS, status);
}

const char *mr_last_bug(void) {
    return last_bug;
}

int mr_report_bug(const char *file, int line, const char *condition) {
    (void)snprintf(last_bug, sizeof(last_bug), "%s:%d: %s", file, line, condition);
    return MR_BUG;
}
