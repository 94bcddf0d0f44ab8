/* Maps replaced under readers.

   One word names the present version's slot and counts the loads that have begun since it came:

     63 .................. 16   15 .... 0
     loads begun                slot

   To load is to add one to the count, which also tells the slot, to clone the slot's map, and to count down the slot's
   balance. The balance starts so high that loads alone never bring it to zero; who takes the version out of the word
   adds the loads begun and takes the start away again. So it comes to zero exactly once: when the version has been
   replaced and every load that began with it has ended. Whoever brings it there, drops the map, and the slot is free.

   The count must not run over: a load that finds it high moves a part of it to the balance, which means the same.

   Slots live in blocks that are freed with the whole; a new block is only needed when loads are stopped half-way in as
   many versions as there are slots. Writers take turns: in its turn one takes a slot, and exchanges the word. Loads
   never look at that.

   A turn is a ticket, and ends when `serving` goes on to the next: so writers get on in the order in which they came.
   Who waits for its turn stores `next` and then loads `serving`, who ends one stores `serving` and then loads `next`;
   both in one order with all, or a wake-up could be missed. Nobody but who has the turn takes the present version out
   of the word: it may be read without being loaded.

   Versions are numbered. Who puts one in place tells its number in `latest` before the exchange: who has loaded a
   version, or knows of one who has, finds no smaller number there; so what a refresh does not load anew is still what
   was present at some moment since it began. Between the two a refresh may load once in vain. `latest` has a cache line
   of its own, with what never changes: loads write the word's line all the time.

   Pairings. The exchange of the word releases what the writer put into the slot, and the load's addition acquires it.
   The counting down of the balance releases the load's use of the slot, and who brings it to zero acquires that.
   `used` is released when the slot is given up, and acquired by the writer who takes it. */
#include "40_map.c"
#include "67_shared.h"

#ifndef PM__SHARED_SPILL
#define PM__SHARED_SPILL ((uint64_t)1 << 47) /* tests make this small */
#endif

enum { PM__SHARED_FIRST = 8, PM__SHARED_BLOCKS = 13, PM__SHARED_SHIFT = 16 };

#define PM__SHARED_START ((uint64_t)1 << 62)

/* Who asks: an address that each thread has for itself. */
#ifndef PM__SHARED_SELF
static PM__THREAD_LOCAL char pm__shared_self;
#define PM__SHARED_SELF() ((void *)&pm__shared_self) /* tests have threads of their own */
#endif

typedef struct pm__version {
    pm_map map;
    pm__a64 balance;
    pm__a32 used;
    uint64_t number;
} pm__version;

struct pm_shared {
    pm__a64 word;
    pm__a32 next, serving; /* writers' tickets: the turn guards what is below, and the word against other writers */
    pm__aptr updating;     /* the thread whose function is being run */
    uint8_t apart[PM__APART];
    pm__a64 latest; /* the number of the version in the word, or of the one to come */
    unsigned blocks;
    pm__version *block[PM__SHARED_BLOCKS]; /* block i has PM__SHARED_FIRST << i slots */
};

static size_t pm__shared_block_bytes(unsigned i) { return ((size_t)PM__SHARED_FIRST << i) * sizeof(pm__version); }

/* Slot numbers count through the blocks. */
static pm__version *pm__shared_slot(const pm_shared *s, uint64_t word) {
    uint64_t n = (word & 0xFFFF) + PM__SHARED_FIRST;
    unsigned i = 63 - pm__clz64(n) - pm__ctz64(PM__SHARED_FIRST);
    return &s->block[i][n - ((uint64_t)PM__SHARED_FIRST << i)];
}

/* One more block of slots. In the writers' turn, or before anybody else knows of `s`. */
static bool pm__shared_grow(pm_shared *s) {
    if (s->blocks == PM__SHARED_BLOCKS) return false;
    size_t bytes = pm__shared_block_bytes(s->blocks);
    pm__version *block = (pm__version *)pm__mem_alloc_big(bytes);
    if (!block) return false;
    memset(block, 0, bytes);
    for (size_t i = 0; i < (size_t)PM__SHARED_FIRST << s->blocks; i++) pm__store_relaxed(&block[i].used, 0);
    s->block[s->blocks++] = block;
    return true;
}

/* The number of a free slot. False: no memory. In the writers' turn. */
static bool pm__shared_find(pm_shared *s, uint64_t *out) {
    uint64_t n = 0;
    for (unsigned i = 0; i < PM__SHARED_BLOCKS; i++) {
        if (i == s->blocks && !pm__shared_grow(s)) return false;
        for (size_t k = 0; k < (size_t)PM__SHARED_FIRST << i; k++, n++) {
            if (pm__load_acquire(&s->block[i][k].used)) continue;
            *out = n;
            return true;
        }
    }
    return false;
}

/* Takes part of a slot's balance away, or adds to it. */
static void pm__version_add(pm__version *v, uint64_t delta) {
    if (pm__a64_fetch_add_acq_rel(&v->balance, delta) + delta != 0) return;
    pm_map map = v->map;
    pm__store_release(&v->used, 0);
    pm_drop(&map);
}

static void pm__version_fill(pm__version *v, pm_map map, uint64_t number) {
    v->map = map;
    v->number = number;
    pm__store_relaxed(&v->balance, PM__SHARED_START);
    pm__store_relaxed(&v->used, 1);
}

/* The version of a word that has been taken out. */
static void pm__shared_retire(pm_shared *s, uint64_t word) {
    pm__version_add(pm__shared_slot(s, word), (word >> PM__SHARED_SHIFT) - PM__SHARED_START);
}

/* ---- turns --------------------------------------------------------------------------------------------------- */

/* False: called by the function of an update, whose turn it is. */
static bool pm__shared_begin(pm_shared *s) {
    if (pm__load_relaxed(&s->updating) == PM__SHARED_SELF()) return false;
    uint32_t mine = pm__a32_fetch_add_seq_cst(&s->next, 1);
    for (uint32_t now; (now = pm__load_seq_cst(&s->serving)) != mine;)
        if (!pm__spin(&s->serving, now)) (void)pm__wait(&s->serving, now, 0);
    return true;
}

static void pm__shared_end(pm_shared *s) {
    uint32_t now = pm__a32_fetch_add_seq_cst(&s->serving, 1) + 1;
    if (pm__load_seq_cst(&s->next) != now) pm__wake(&s->serving, true);
}

/* The present version. In the writers' turn. */
static const pm_map *pm__shared_present(const pm_shared *s) {
    return &pm__shared_slot(s, pm__load_relaxed(&s->word))->map;
}

/* Puts a map, which is moved, in place of the present version, and tells the word that goes. False: no memory. In the
   writers' turn. */
static bool pm__shared_put(pm_shared *s, pm_map m, uint64_t *old) {
    uint64_t n;
    if (!pm__shared_find(s, &n)) return false;
    uint64_t number = pm__load_relaxed(&s->latest) + 1;
    pm__version_fill(pm__shared_slot(s, n), m, number);
    pm__store_relaxed(&s->latest, number); /* the exchange releases it */
    *old = pm__a64_exchange(&s->word, n);
    return true;
}

/* ---- calls --------------------------------------------------------------------------------------------------- */

PM_API pm_status pm_shared_new(const pm_map *m, pm_shared **out) {
    if (!m || !out) return PM_INVALID;
    pm_shared *s = (pm_shared *)pm__mem_alloc_big(sizeof *s);
    if (!s) return PM_NOMEM;
    memset(s, 0, sizeof *s);
    if (!pm__shared_grow(s)) {
        pm__mem_free_big(s, sizeof *s);
        return PM_NOMEM;
    }
    pm__version_fill(&s->block[0][0], pm_clone(m), 1);
    pm__store_relaxed(&s->latest, 1);
    pm__store_release(&s->word, 0);
    *out = s;
    return PM_OK;
}

PM_API void pm_shared_free(pm_shared *s) {
    if (!s) return;
    pm__shared_retire(s, pm__load_acquire(&s->word));
    for (unsigned i = 0; i < s->blocks; i++) pm__mem_free_big(s->block[i], pm__shared_block_bytes(i));
    pm__mem_free_big(s, sizeof *s);
}

/* Moves part of the word's count to the balance of the slot, which the caller's load keeps from being given up. */
static PM__NOINLINE void pm__shared_spill(pm_shared *s, uint64_t slot) {
    const uint64_t part = PM__SHARED_SPILL / 2;
    pm__version *v = pm__shared_slot(s, slot);
    uint64_t word = pm__load_relaxed(&s->word);
    pm__version_add(v, part);
    while ((word & 0xFFFF) == slot && word >> PM__SHARED_SHIFT >= part)
        if (pm__a64_cas(&s->word, &word, word - (part << PM__SHARED_SHIFT))) return;
    pm__version_add(v, 0 - part);
}

static pm_map pm__shared_take(pm_shared *s, uint64_t *number) {
    uint64_t word = pm__a64_fetch_add_acq_rel(&s->word, (uint64_t)1 << PM__SHARED_SHIFT);
    pm__version *v = pm__shared_slot(s, word);
    pm_map m = pm_clone(&v->map);
    *number = v->number;
    if (PM__UNLIKELY(word >> PM__SHARED_SHIFT >= PM__SHARED_SPILL)) pm__shared_spill(s, word & 0xFFFF);
    pm__version_add(v, (uint64_t)0 - 1);
    return m;
}

PM_API pm_map pm_shared_load(pm_shared *s) {
    uint64_t number;
    return s ? pm__shared_take(s, &number) : pm_new(NULL, NULL);
}

PM_API bool pm_shared_refresh(pm_shared *s, pm_map *m, uint64_t *seen) {
    if (!s || !m || !seen) return false;
    /* Relaxed: what is in *m is the caller's already, and what is loaded anew is ordered by the word. */
    if (PM__LIKELY(pm__load_relaxed(&s->latest) == *seen)) return false;
    pm_map old = *m;
    *m = pm__shared_take(s, seen);
    pm_drop(&old);
    return true;
}

/* Loaded maps hold their root, so an address says which it is, and what is shared does not change. */
static bool pm__shared_is(const pm_map *a, const pm_map *b) {
    return a->root == b->root && a->has_value == b->has_value && (!a->has_value || a->value == b->value) &&
           pm_map_ops(a) == pm_map_ops(b);
}

PM_API pm_status pm_shared_compare_and_swap(pm_shared *s, const pm_map *expected, const pm_map *desired,
                                            bool *changed) {
    uint64_t old = 0;
    if (!s || !desired || !pm__shared_begin(s)) return PM_INVALID;
    pm_map m = pm_clone(desired);
    bool same = !expected || pm__shared_is(expected, pm__shared_present(s));
    bool put = same && pm__shared_put(s, m, &old);
    pm__shared_end(s);
    if (put) pm__shared_retire(s, old);
    else pm_drop(&m);
    if (same && !put) return PM_NOMEM;
    if (changed) *changed = same;
    return PM_OK;
}

PM_API pm_status pm_shared_store(pm_shared *s, const pm_map *m) {
    return pm_shared_compare_and_swap(s, NULL, m, NULL);
}

PM_API pm_status pm_shared_update(pm_shared *s, pm_status (*fn)(void *ctx, pm_map *m), void *ctx) {
    uint64_t old = 0;
    if (!s || !fn || !pm__shared_begin(s)) return PM_INVALID;
    pm_map m = pm_clone(pm__shared_present(s));
    pm__store_relaxed(&s->updating, PM__SHARED_SELF());
    pm_status st = fn(ctx, &m);
    pm__store_relaxed(&s->updating, NULL);
    if (st == PM_OK && !pm__shared_put(s, m, &old)) st = PM_NOMEM;
    pm__shared_end(s);
    if (st == PM_OK) pm__shared_retire(s, old);
    else pm_drop(&m);
    return st;
}
