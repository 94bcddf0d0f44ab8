/* Growable lists: stacks, queues and paths whose length is known at run time only. */
#include "11_memory.c"

/* Items of `each` bytes. They move when the list grows. */
typedef struct pm__list {
    uint8_t *data;
    size_t used, cap, each;
} pm__list;

PM__UNUSED static pm__list pm__list_of(size_t each) {
    pm__list l = {NULL, 0, 0, each ? each : 1};
    return l;
}

PM__UNUSED static void pm__list_free(pm__list *l) {
    if (l->data) pm__mem_free_big(l->data, l->cap * l->each);
    l->data = NULL;
    l->used = l->cap = 0;
}

static PM__NOINLINE bool pm__list_grow(pm__list *l, size_t n) {
    size_t cap = l->cap ? l->cap : 16;
    while (cap - l->used < n) {
        if (cap > SIZE_MAX / 4 / l->each) return false;
        cap *= 2;
    }
    void *grown = pm__mem_grow(l->data, l->cap * l->each, cap * l->each);
    if (!grown) return false;
    l->data = (uint8_t *)grown;
    l->cap = cap;
    return true;
}

/* Makes room for n more. False: no memory. */
static PM__INLINE bool pm__list_room(pm__list *l, size_t n) {
    return PM__LIKELY(l->cap - l->used >= n) || pm__list_grow(l, n);
}

static PM__INLINE void *pm__list_at(const pm__list *l, size_t i) { return i ? l->data + i * l->each : l->data; }

/* Appends n items. False: no memory. */
static PM__INLINE bool pm__list_put(pm__list *l, const void *from, size_t n) {
    if (!pm__list_room(l, n)) return false;
    if (n) memcpy(pm__list_at(l, l->used), from, n * l->each);
    l->used += n;
    return true;
}

/* Takes the last item off a list that has one. It stays where it is until the list is written again. */
static PM__INLINE void *pm__list_pop(pm__list *l) { return l->data + --l->used * l->each; }
