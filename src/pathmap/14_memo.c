/* A memo: what has been worked out for nodes that occur more than once. An open-addressing table from two words to one,
   so that traversals of shared structure visit each node once. */
#include "11_memory.c"

typedef struct pm__memo_slot {
    uint64_t a, b, val;
} pm__memo_slot;

typedef struct pm__memo {
    pm__memo_slot *slots; /* a == 0: free */
    size_t used, cap;     /* cap is 0 or a power of two */
} pm__memo;

PM__UNUSED static void pm__memo_free(pm__memo *m) {
    if (m->slots) pm__mem_free_big(m->slots, m->cap * sizeof *m->slots);
    m->slots = NULL;
    m->used = m->cap = 0;
}

static size_t pm__memo_place(const pm__memo *m, uint64_t a, uint64_t b) {
    uint64_t h = (a ^ (b * 0x9E3779B97F4A7C15u)) * 0xD6E8FEB86659FD93u;
    size_t i = (size_t)(h ^ h >> 32) & (m->cap - 1);
    while (m->slots[i].a && (m->slots[i].a != a || m->slots[i].b != b)) i = (i + 1) & (m->cap - 1);
    return i;
}

/* What is known of (a, b), a != 0, or NULL. */
PM__UNUSED static const uint64_t *pm__memo_get(const pm__memo *m, uint64_t a, uint64_t b) {
    if (!m->cap) return NULL;
    const pm__memo_slot *s = &m->slots[pm__memo_place(m, a, b)];
    return s->a ? &s->val : NULL;
}

static bool pm__memo_grow(pm__memo *m) {
    pm__memo big = {NULL, m->used, m->cap ? m->cap * 2 : 64};
    big.slots = (pm__memo_slot *)pm__mem_alloc_big(big.cap * sizeof *big.slots);
    if (!big.slots) return false;
    memset(big.slots, 0, big.cap * sizeof *big.slots);
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].a) big.slots[pm__memo_place(&big, m->slots[i].a, m->slots[i].b)] = m->slots[i];
    pm__memo_free(m);
    *m = big;
    return true;
}

/* Remembers a value for (a, b), a != 0. False: no memory. */
PM__UNUSED static bool pm__memo_put(pm__memo *m, uint64_t a, uint64_t b, uint64_t val) {
    if ((m->used + 1) * 4 > m->cap * 3 && !pm__memo_grow(m)) return false;
    pm__memo_slot *s = &m->slots[pm__memo_place(m, a, b)];
    if (!s->a) m->used++;
    s->a = a, s->b = b, s->val = val;
    return true;
}
