#!/usr/bin/env python3
"""Writes a copy of pathmap.h with faults that the explorer of schedules must find (tests/test_head_schedules.c).

usage: seed_faults.py PATHMAP.H OUT

Each fault is a place of the header and what stands there instead, where FAULTY(NAME) is true when the test has chosen
that fault; with none chosen the copy does what the header does. A place that is not in the header exactly once is an
error: whoever changes the code there looks again at what the fault was to show."""
import re
import sys

FAULTS = (
    # A fence that waits does not stop clean writers, or not those that it waits for.
    ("while (w->fencing || (dirties && w->clean && pm__writer_must_stay_clean(w)))",
     "while ((w->fencing && !FAULTY(HELD_WRITERS_GO)) ||\n"
     "           (dirties && w->clean && !FAULTY(CLEAN_WRITERS_GO) && pm__writer_must_stay_clean(w)))"),
    # A writer that goes on gives its content to nobody who waits, or only to one of them.
    ("    pm__writer_publish(w);\n    pm__writer_mark_dirty(w);\n",
     "    if (!FAULTY(NO_COPY)) pm__writer_publish(w);\n    pm__writer_mark_dirty(w);\n"),
    ("        pm__piece_unlink(q);\n        w->claim.head->ring = true;\n",
     "        pm__piece_unlink(q);\n        w->claim.head->ring = true;\n        if (FAULTY(ONE_COPY)) break;\n"),
    # What a writer has given is replaced by what came later, before it is taken.
    ("        if (!q->held) continue;\n        if (pm__piece_is_quiet(q)) {\n",
     "        if (FAULTY(NEWER_COPY) && !q->held && q->alone && pm__piece_is_quiet(q)) {\n"
     "            pm_drop(&q->map);\n"
     "            q->map = pm_clone(pm__writer_visible(q->w));\n"
     "        }\n"
     "        if (!q->held) continue;\n        if (pm__piece_is_quiet(q)) {\n"),
    # The end of a writer is told before its hooks have run.
    ("    pm_map saved = pm__writer_finish(w);\n    pm__head_unlock(h);\n    pm_drop(&saved);\n"
     "    pm__head_leave(h);\n",
     "    pm_map saved = pm__writer_finish(w);\n    if (FAULTY(OUT_BEFORE_HOOKS)) pm__head_leave(h);\n"
     "    pm__head_unlock(h);\n    pm_drop(&saved);\n    if (!FAULTY(OUT_BEFORE_HOOKS)) pm__head_leave(h);\n"),
    # A writer that ends may become dirty by that while a fence waits.
    ("    pm__writer_lock(w, c->group.open);\n    pm_map saved",
     "    pm__writer_lock(w, c->group.open && !FAULTY(GROUPS_END_AT_ONCE));\n    pm_map saved"),
    # A writer that waits for its second writer stays inside of the first.
    ("        pm__wz_leave(w);\n        pm__wz_enter(v);\n        pm__wz_leave(v);\n",
     "        if (FAULTY(WAITS_INSIDE)) {\n            pm__wz_enter(v);\n            return;\n        }\n"
     "        pm__wz_leave(w);\n        pm__wz_enter(v);\n        pm__wz_leave(v);\n"),
    # Wake-ups that are lost.
    ("        uint32_t bell = pm__load_acquire(&h->bell);\n        if (pm__snap_take(p)) return PM_OK;\n",
     "        uint32_t bell = pm__load_acquire(&h->bell);\n        if (pm__snap_take(p)) return PM_OK;\n"
     "        if (FAULTY(BELL_LOOKED_AT_LATE)) bell = pm__load_acquire(&h->bell);\n"),
    ("    if (p->next) p->next->link = p->link;\n    h->ring = true;\n",
     "    if (p->next) p->next->link = p->link;\n    if (!FAULTY(END_OF_FENCE_NOT_TOLD)) h->ring = true;\n"),
    ("& PM__HOLD_WAIT) && depth == 0) c->left(c);\n",
     "& PM__HOLD_WAIT) && depth == 0 && !FAULTY(END_OF_CALL_NOT_TOLD)) c->left(c);\n"),
    # The system refuses its fence of all threads, and running writers are told to fence instead, or nothing is done.
    ("    h->fenced = true;\n    pm__fence_by_time();\n",
     "    h->fenced = true;\n"
     "    for (size_t i = 0; FAULTY(FLAG_SWITCH) && i < p->n; i++) p->pieces[i].w->claim.zipper.fenced = true;\n"
     "    if (!FAULTY(FLAG_SWITCH) && !FAULTY(NO_BARRIER)) pm__fence_by_time();\n"),
    # A snapshot's reader does not hear that a writer has become dirty.
    ("    h->dirtied++;\n    pm__head_tell(h);\n",
     "    h->dirtied++;\n    if (!FAULTY(NEWS_NOT_TOLD)) pm__head_tell(h);\n"),
    # Who waits for a writer that fences itself sleeps although it may have left unseen.
    ("    if (p->fenced || h->fenced) return false;\n",
     "    if (p->fenced || h->fenced || FAULTY(SLEEPS_UNFENCED)) return false;\n"),
    # Who waits for a claim to end does not hear of it, or not of the end of a request that came before.
    ("    if (c->head->claim_ends) c->head",
     "    if (c->head->claim_ends && !FAULTY(END_OF_CLAIM_NOT_TOLD)) c->head"),
    ("    uint32_t seen = pm__load_relaxed(&t->woken);\n    pm__head_unlock(h);\n",
     "    uint32_t seen = pm__load_relaxed(&t->woken);\n    pm__head_unlock(h);\n"
     "    if (FAULTY(TURN_LOOKED_AT_LATE)) seen = pm__load_relaxed(&t->woken);\n"),
    ("    for (size_t i = 0; !granted && i < t->n; i++) pm__turns_wake",
     "    for (size_t i = 0; !granted && !FAULTY(END_OF_TURN_NOT_TOLD) && i < t->n; i++) pm__turns_wake"),
    # An ended writer is freed while a snapshot uses it.
    ("    if (w && w->users) {\n        w->ended = true;\n",
     "    if (w && w->users && !FAULTY(FREED_IN_USE)) {\n        w->ended = true;\n"),
)


def main(source, out):
    with open(source, encoding="utf-8") as file:
        text = file.read()
    for place, instead in FAULTS:
        if text.count(place) != 1:
            sys.exit(f"seed_faults.py: {text.count(place)} times in {source}, not once:\n{place}")
        text = text.replace(place, instead)
    names = dict.fromkeys(name for _, instead in FAULTS for name in re.findall(r"FAULTY\((\w+)\)", instead))
    head = ("/* Made by tests/seed_faults.py: pathmap.h with faults to choose from. */\n"
            f"enum {{ NO_FAULT, {', '.join(names)} }};\n"
            "static int seeded_fault;\n"
            "#define FAULTY(name) (seeded_fault == (name))\n")
    with open(out, "w", encoding="utf-8") as file:
        file.write(head + text)


if __name__ == "__main__":
    main(*sys.argv[1:])
