/* Recovery of a log of which batches cannot be read: which replicas can be believed all the same.
 *
 * What is missing may have said anything of any replica. Three facts of Raft tell what it did not say.
 * Entries that were committed are never replaced. If two entries in a row have one term, one leader wrote
 * both, and whoever holds the second holds all that this leader had before it: so a run behind the gap that
 * begins where the log before the gap ends, in the same term, proves that nothing lay between. And what is
 * rewritten behind the gap was alive then, with everything before it. Terms and votes are written whole: the
 * last one counts.
 *
 * Of a log in doubt the entries up to `sure` and those from `until` on are as they were promised. */
#include "mr_logtable.h"

enum {
    MISFIT = 16, /* two runs claim one place: only an empty log ends that */
    ALL = MR_DOUBT_HARD | MR_DOUBT_END | MR_DOUBT_ENTRIES
};

/* The last entry, whatever is missing before it. */
static uint64_t end_of(const struct mr_log *log) {
    uint32_t count = mr_log_segments(log);
    return count == 0 ? log->head.point_index : mr_segment_end(log, count - 1) - 1;
}

static void settle_doubt(struct mr_log *log) {
    if (!(log->doubts & MISFIT) && log->sure + 1 >= log->until) {
        log->doubts &= ~(uint32_t)MR_DOUBT_ENTRIES;
    }
}

static void doubt(struct mr_log *log) {
    uint64_t last = end_of(log);
    uint64_t sure = log->head.hard_commit < last ? log->head.hard_commit : last;
    if (sure < log->head.point_index) {
        sure = log->head.point_index;
    }
    if (!(log->doubts & MR_DOUBT_ENTRIES) || sure < log->sure) {
        log->sure = sure;
    }
    log->doubts |= ALL;
    log->until = UINT64_MAX;
}

static void begin_gap(struct mr_logindex *index, uint64_t first) {
    if (index->gap == 0) {
        index->gap = first;
    }
}

void mr_logindex_recover_gap(struct mr_logindex *index, uint64_t first, uint64_t last) {
    begin_gap(index, first);
    index->missed_all = 1;
    for (uint32_t place = 0; place < index->used_places; place++) {
        struct mr_log *log = mr_log_at(index, place);
        if (mr_logindex_group(index, place) != 0 && log->touched < last) {
            doubt(log);
        }
    }
}

int mr_logindex_recover_gap_of(struct mr_logindex *index, uint64_t first, uint64_t last, uint64_t group) {
    begin_gap(index, first);
    uint32_t place = mr_logindex_find(index, group);
    if (place != MR_NOWHERE) {
        struct mr_log *log = mr_log_at(index, place);
        if (log->touched < last) {
            doubt(log);
        }
        return MR_OK;
    }
    int status = mr_array_reserve(&index->missed, 1);
    if (status == MR_OK) {
        index->missed.items[index->missed.count++] = group;
    }
    return status;
}

void mr_logindex_doubted(const struct mr_logindex *index, uint64_t number, struct mr_doubted *found) {
    *found = number < index->doubted.count ? index->doubted.items[number] : (struct mr_doubted){0};
}

static int is_missed(const struct mr_logindex *index, uint64_t group) {
    uint32_t i = 0;
    while (i < index->missed.count && index->missed.items[i] != group) {
        i++;
    }
    return index->missed_all || i < index->missed.count;
}

void mr_doubt_begin(const struct mr_logindex *index, struct mr_log *log) {
    if (is_missed(index, log->group)) {
        log->sure = 0;
        log->until = UINT64_MAX;
        log->doubts = ALL;
    }
}

/* The term of an entry, or of the point; 0 if it is not there. */
static uint64_t term_at(const struct mr_log *log, uint64_t entry) {
    if (entry == log->head.point_index) {
        return log->head.point_term;
    }
    uint32_t position = mr_log_position(log, entry + 1);
    uint32_t term = mr_log_term_position(log, entry);
    if (position == 0 || term == 0 || mr_segment_end(log, position - 1) <= entry) {
        return 0;
    }
    return log->terms.items[term - 1].term;
}

void mr_doubt_run(const struct mr_logindex *index, struct mr_log *log, const struct mr_run_shape *shape,
                  uint64_t origin) {
    if (!(log->doubts & (MR_DOUBT_ENTRIES | MR_DOUBT_END)) || shape->first == 0 ||
        shape->first > log->until) {
        return;
    }
    int follows = shape->first - 1 <= log->sure || term_at(log, shape->first - 1) == shape->first_term;
    if (origin == 0) { /* everything from here on was written behind the gap */
        log->doubts &= ~(uint32_t)MR_DOUBT_END;
        log->until = shape->first;
        if (follows) {
            log->sure = shape->first - 1;
        }
    } else if (origin < index->gap || follows) { /* it was alive behind the gap, and is older or fits */
        if (shape->end - 1 > log->sure) {
            log->sure = shape->end - 1;
        }
    }
    settle_doubt(log);
}

void mr_doubt_point(struct mr_log *log, uint64_t entry, int emptied) {
    if (log->doubts == 0) {
        return;
    }
    if (emptied) {
        log->doubts &= MR_DOUBT_HARD;
        return;
    }
    if (entry > log->sure) {
        log->sure = entry;
    }
    settle_doubt(log);
}

void mr_doubt_misfit(struct mr_log *log) {
    log->doubts |= MISFIT | MR_DOUBT_ENTRIES;
}

/* The first position of the segments at the end of the log that have no hole between them. */
static uint32_t tail_of(const struct mr_log *log) {
    uint32_t position = mr_log_segments(log);
    while (position > 0 && (position == mr_log_segments(log) ||
                            mr_segment_end(log, position - 1) == mr_segment_first(log, position))) {
        position--;
    }
    return position;
}

/* Makes a log with a hole one without: if its end is known, what is behind the hole stays, and it begins
 * there, behind an entry of unknown term (0); else what is before the hole. */
static void mend(struct mr_log *log) {
    uint32_t tail = tail_of(log);
    uint64_t first = mr_segment_first(log, tail);
    if (!(log->doubts & MR_DOUBT_END)) {
        mr_log_remove(log, 0, tail);
        log->head.point_index = first - 1;
        log->head.point_term = 0;
        log->until = log->until > first && log->until != UINT64_MAX ? log->until : first;
    } else {
        uint64_t expected = log->head.point_index + 1;
        uint32_t kept = 0;
        while (kept < mr_log_segments(log) && mr_segment_first(log, kept) <= expected) {
            expected = mr_segment_end(log, kept) > expected ? mr_segment_end(log, kept) : expected;
            kept++;
        }
        uint32_t terms = mr_log_term_position(log, expected - 1);
        mr_log_remove(log, kept, mr_log_segments(log) - kept);
        mr_log_remove_terms(log, terms, log->terms.count - terms);
    }
    log->doubts |= MR_DOUBT_ENTRIES;
}

static int has_hole(const struct mr_log *log) {
    return mr_log_segments(log) > 0 && mr_segment_first(log, tail_of(log)) > log->head.point_index + 1;
}

int mr_doubt_settle(struct mr_logindex *index, struct mr_log *log, int *gone) {
    struct mr_doubted found = {.group = log->group, .replica = log->head.replica};
    found.last_index = end_of(log);
    found.last_term = term_at(log, found.last_index);
    *gone = log->birth.block == NULL;
    if (*gone) {
        log->doubts |= MR_DOUBT_BIRTH;
    } else if (has_hole(log)) {
        mend(log);
    }
    found.whole_from = log->until;
    found.doubts = log->doubts & (ALL | MR_DOUBT_BIRTH);
    log->doubts = 0;
    log->rescue = log->rescued_from = 0;
    if (found.doubts == 0) {
        return MR_OK;
    }
    int status = mr_array_reserve(&index->doubted, 1);
    if (status == MR_OK) {
        index->doubted.items[index->doubted.count++] = found;
    }
    return status;
}
