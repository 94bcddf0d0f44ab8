/* From what differs between two maps to what differs between two versions in a file: what a commit appends.

   A record says what lies below a location, and depends on nothing else. So the old map and the old version's records
   need no table between them: who goes down both along the same path stands on the same content. The difference of the
   old map and the new one tells, in order, at which ends something differs, without visiting what they share
   (41_diff.c). Of each such end the records on the way are opened:

       frames    root    "ca"    "cart"      each a location of the new version
       entries   c       r       e s         those that changed
       records   b c s   r t     e t         those of the old version

   A frame has the entries that are new, and the record of the old ones. When the next change lies elsewhere, the
   frames that are not on its way are closed, deepest first: new and old entries become a record, or are put into one
   that is shorter; the entry that leads to that goes into the frame above. Old entries are copied as they stand, but
   for how far before the record things lie. What only the new map has is folded as for an image, once for all its
   parts, so what these share is stored once. What only the old one has is left out. */
#include "41_diff.c"
#include "73_image_write.c"

typedef struct pm__delta_frame {
    size_t depth; /* bytes of path to the location */
    size_t first; /* of its new entries, and how many there are */
    unsigned n;
    bool has_val, keep; /* keep: a dangling location */
    pm_val val;         /* as in an edge */
    uint64_t len;
    size_t child; /* the record of its old entries; 0: none */
} pm__delta_frame;

typedef struct pm__delta_work {
    pm__imgout out;
    size_t from; /* in it: where this commit begins */
    pm_image_options options;
    const pm_image *old; /* NULL: nothing */
    pm__list frames, edges, bytes, path, run;
    pm__fold fold;
    bool folds; /* it was begun */
    pm_status status;
} pm__delta_work;

enum {
    PM__DELTA_BEFORE = 8, /* the window begins before the first record in it, so that none is at its place 0 */
    PM__DELTA_GONE = 255, /* length of run of a new entry: there is none any more */
    PM__DELTA_ENTRY = 128 /* no entry has more bytes: 2, a run, two numbers, an overhang of 16 */
};

static bool pm__delta_stop(pm__delta_work *w, pm_status s) {
    if (w->status == PM_OK) w->status = s;
    return false;
}

static bool pm__delta_memory(pm__delta_work *w, bool ok) { return ok || pm__delta_stop(w, PM_NOMEM); }

static PM__INLINE pm__delta_frame *pm__delta_top(const pm__delta_work *w) {
    return (pm__delta_frame *)pm__list_at(&w->frames, w->frames.used - 1);
}
static PM__INLINE pm__imgout_edge *pm__delta_edge(const pm__delta_work *w, size_t i) {
    return (pm__imgout_edge *)pm__list_at(&w->edges, i);
}

/* ---- new entries ------------------------------------------------------------------------------------------------ */

/* Finds the first new entry of a frame, the lowest one, whose byte is b or greater. True: it is b. */
static bool pm__delta_has(const pm__delta_work *w, const pm__delta_frame *f, uint8_t b, unsigned *i) {
    *i = 0;
    while (*i < f->n && w->bytes.data[f->first + *i] < b) ++*i;
    return *i < f->n && w->bytes.data[f->first + *i] == b;
}

/* Puts an entry into the lowest frame, or in the place of the one that is there. */
static bool pm__delta_put(pm__delta_work *w, uint8_t b, const pm__imgout_edge *e) {
    pm__delta_frame *f = pm__delta_top(w);
    unsigned i;
    if (!pm__delta_has(w, f, b, &i)) {
        if (!pm__list_room(&w->edges, 1) || !pm__list_room(&w->bytes, 1)) return pm__delta_stop(w, PM_NOMEM);
        size_t at = f->first + i, behind = f->n - i;
        memmove(w->bytes.data + at + 1, w->bytes.data + at, behind);
        memmove(pm__delta_edge(w, at + 1), pm__delta_edge(w, at), behind * sizeof *e);
        w->edges.used++, w->bytes.used++, f->n++;
        w->bytes.data[at] = b;
    }
    *pm__delta_edge(w, f->first + i) = *e;
    return true;
}

static bool pm__delta_remove(pm__delta_work *w, uint8_t b) {
    pm__imgout_edge none;
    memset(&none, 0, sizeof none);
    none.run_len = PM__DELTA_GONE;
    return pm__delta_put(w, b, &none);
}

static void pm__delta_clear(pm__delta_work *w) {
    pm__delta_frame *f = pm__delta_top(w);
    w->edges.used = w->bytes.used = f->first;
    f->n = 0;
    f->child = 0;
}

/* ---- old entries ------------------------------------------------------------------------------------------------ */

/* The image that a record stands in: the old version, or what this commit has made, where places count from *base.
   NULL: none has it. */
static const pm_image *pm__delta_image(const pm__delta_work *w, size_t record, size_t *base) {
    bool made = record >= w->out.base + PM__DELTA_BEFORE;
    *base = made ? w->out.base : 0;
    return made ? &w->out.image : w->old;
}

/* Looks at the record of a frame's old entries; r->n is 0 if it has none. Its bytes may be out of order. */
static bool pm__delta_old(pm__delta_work *w, const pm__delta_frame *f, pm__image_record *r, const pm_image **m,
                           size_t *base) {
    memset(r, 0, sizeof *r);
    *m = NULL;
    if (!f->child) return true;
    *m = pm__delta_image(w, f->child, base);
    return (*m && pm__image_record_at(*m, f->child - *base, r)) || pm__delta_stop(w, PM_CORRUPT);
}

/* Makes an edge of an entry. */
static bool pm__delta_decode(pm__delta_work *w, const pm_image *m, size_t base, const pm__image_entry *e,
                              pm__imgout_edge *out) {
    size_t where, len, end;
    memset(out, 0, sizeof *out);
    out->val = e->val;
    if (e->has_val && m->kind == PM_IMAGE_BYTES) {
        if (!pm__image_string(m, (size_t)e->val, &where, &len, &end)) return pm__delta_stop(w, PM_CORRUPT);
        out->val = where + base, out->len = len;
    }
    out->child = e->child ? e->child + base : 0;
    out->has_val = e->has_val;
    out->run_len = e->run_len;
    if (e->run_len) memcpy(out->run, e->run, e->run_len);
    return true;
}

/* Finds the entry of the lowest frame that begins with b, among the new ones, then the old ones. *out is one that is
   gone if there is none. */
static bool pm__delta_get(pm__delta_work *w, uint8_t b, pm__imgout_edge *out) {
    const pm__delta_frame *f = pm__delta_top(w);
    pm__image_record r;
    pm__image_entry e;
    const pm_image *m;
    size_t base;
    unsigned i;
    out->run_len = PM__DELTA_GONE;
    if (pm__delta_has(w, f, b, &i)) {
        *out = *pm__delta_edge(w, f->first + i);
        return true;
    }
    if (!pm__delta_old(w, f, &r, &m, &base)) return false;
    if (!r.n) return true;
    if (!pm__image_find(&r, b, &i)) return pm__delta_stop(w, PM_CORRUPT);
    if (i == r.n || r.bytes[i] != b) return true;
    if (!pm__image_entry_nth(m, &r, i, &e)) return pm__delta_stop(w, PM_CORRUPT);
    return pm__delta_decode(w, m, base, &e, out);
}

/* ---- old and new entries ---------------------------------------------------------------------------------------- */

/* A record of a frame's old and new entries, as it is being made. */
typedef struct pm__delta_mix {
    pm__image_record old;
    const pm_image *m; /* it stands there; NULL: there are none */
    size_t base;
    size_t next;            /* where the next old entry begins */
    unsigned taken, put;    /* old entries that were copied, entries that are there */
    uint8_t *begin, *index; /* of the new record, of the places of its groups */
    uint8_t *first, *to;    /* its first entry, and the next one */
    size_t at;              /* the record's place */
} pm__delta_mix;

/* Whether a frame has an old entry that begins with b; *i: how many begin with less. */
static bool pm__delta_replaces(pm__delta_work *w, const pm__image_record *r, uint8_t b, unsigned *i) {
    *i = 0;
    if (r->n && !pm__image_find(r, b, i)) (void)pm__delta_stop(w, PM_CORRUPT);
    return *i < r->n && r->bytes[*i] == b;
}

/* How many entries a frame has. */
static unsigned pm__delta_total(pm__delta_work *w, const pm__delta_frame *f, const pm__image_record *r) {
    unsigned n = r->n, i;
    for (size_t k = f->first; k < f->first + f->n; k++) {
        bool gone = pm__delta_edge(w, k)->run_len == PM__DELTA_GONE;
        if (pm__delta_replaces(w, r, w->bytes.data[k], &i)) n -= gone;
        else n += !gone;
    }
    return n;
}

/* Tells where a group of entries begins. */
static PM__INLINE void pm__delta_group(const pm__delta_mix *x, unsigned i, const uint8_t *to) {
    if (!i) return;
    uint8_t *at = x->index + 2 * (i / PM__IMAGE_GROUP - 1);
    at[0] = (uint8_t)(to - x->first);
    at[1] = (uint8_t)((to - x->first) >> 8);
}

/* Reads a number of at most 8 bytes, and 8 bytes in any case. Returns how many it has; 0: more. */
static PM__INLINE size_t pm__delta_number(const uint8_t *s, uint64_t *v) {
    uint64_t x = pm__load64le(s), ends = ~x & 0x8080808080808080u, end = ends & (0 - ends);
    if (!ends) return 0;
    x &= ((end << 1) - 1) & 0x7F7F7F7F7F7F7F7Fu;
    x = (x & 0x007F007F007F007Fu) | (x & 0x7F007F007F007F00u) >> 1;
    x = (x & 0x00003FFF00003FFFu) | (x & 0x3FFF00003FFF0000u) >> 2;
    *v = (x & 0x000000000FFFFFFFu) | (x & 0x0FFFFFFF00000000u) >> 4;
    return pm__ctz64(end) / 8 + 1;
}

/* The bits of a number of at most 56, 7 in each byte. */
static PM__INLINE uint64_t pm__delta_spread(uint64_t v) {
    v = (v & 0x000000000FFFFFFFu) | (v & 0x00FFFFFFF0000000u) << 4;
    v = (v & 0x00003FFF00003FFFu) | (v & 0x0FFFC0000FFFC000u) << 2;
    return (v & 0x007F007F007F007Fu) | (v & 0x3F803F803F803F80u) << 1;
}

/* Writes a number that is spread so, and 8 bytes in any case. Returns how many it has. */
static PM__INLINE size_t pm__delta_spread_put(uint8_t *to, uint64_t x) {
    unsigned below = (63 - pm__clz64(x | 1)) & ~7u; /* bits of the bytes before the last */
    pm__store64le(to, x | (0x8080808080808080u & (((uint64_t)1 << below) - 1)));
    return below / 8 + 1;
}

static PM__INLINE size_t pm__delta_number_put(uint8_t *to, uint64_t v) {
    return pm__delta_spread_put(to, pm__delta_spread(v));
}

/* Copies a number of at most 8 bytes from *s to *to and adds to it what `more` is when spread, without gathering its
   bits: bytes of 1 and 7 bits hand on what goes over as it is. False: it is 0, or more than `most`, spread too. */
static PM__INLINE bool pm__delta_number_add(const uint8_t **s, uint8_t **to, uint64_t more, uint64_t most) {
    const uint64_t tops = 0x8080808080808080u;
    uint64_t x = pm__load64le(*s), ends = ~x & tops, end = ends & (0 - ends);
    x &= (end - 1) & ~tops;
    if (!ends || x - 1 >= most) return false;
    *s += pm__ctz64(end) / 8 + 1;
    *to += pm__delta_spread_put(*to, ((x | tops) + more) & ~tops);
    return true;
}

/* Copies the description of a string from *s to *to, where it is to lie at `at`. */
static bool pm__delta_string(const pm__delta_mix *x, const uint8_t **s, uint8_t **to, size_t at) {
    size_t from = (size_t)(*s - x->m->data), n, k = 0;
    uint64_t len = 0, back = 0;
    n = pm__delta_number(*s, &len);
    if (n && len) k = pm__delta_number(*s + n, &back);
    if (!n || len > back || back > from - x->m->start) return false;
    memmove(*to, *s, n);
    *s += n + k, *to += n;
    if (len) *to += pm__delta_number_put(*to, at - (from + x->base) + back);
    return true;
}

/* Copies the value at *s. */
static PM__INLINE bool pm__delta_value(const pm__delta_mix *x, const uint8_t **s, uint8_t **to) {
    if (x->m->kind == PM_IMAGE_UNIT) return true;
    if (x->m->kind == PM_IMAGE_BYTES) return pm__delta_string(x, s, to, x->at + (size_t)(*to - x->begin));
    uint64_t word = pm__load64le(*s), ends = ~word & 0x8080808080808080u;
    size_t n = ends ? pm__ctz64(ends) / 8 + 1 : (*s)[8] < 128 ? 9 : 10;
    if (n == 10 && (*s)[9] > 1) return false;
    pm__store64le(*to, word);
    if (n > 8) memmove(*to + 8, *s + 8, 2);
    *s += n, *to += n;
    return true;
}

/* Copies old entries up to one, as they stand, but for how far before the record things lie. At least PM__DELTA_ENTRY
   bytes behind any place in an image can be read: a version is followed by its commit record, and a window has room. */
static bool pm__delta_copy(pm__delta_mix *x, unsigned upto) {
    const pm_image *m = x->m;
    const uint8_t *s = m ? m->data + x->next : NULL, *end = m ? m->data + m->size : NULL;
    const uint64_t shift = pm__delta_spread(x->at - (x->old.at + x->base));
    const uint64_t most = m ? pm__delta_spread(x->old.at - m->start) : 0;
    uint8_t *to = x->to, *bytes = x->begin + 1;
    unsigned put = x->put;
    int last = put ? bytes[put - 1] : -1;
    for (unsigned i = x->taken; i < upto; i++) {
        uint8_t b = x->old.bytes[i];
        if (s >= end || b <= last) return false;
        if (put % PM__IMAGE_GROUP == 0) pm__delta_group(x, put, to);
        bytes[put++] = b;
        last = b;
        unsigned head = *s, n = head & PM__IMAGE_LONG;
        memmove(to, s, 16);
        if (PM__UNLIKELY(n == PM__IMAGE_LONG)) {
            n += 1u + s[1];
            if (n > 1 + PM__IMAGE_RUN) return false;
            memmove(to + 16, s + 16, 1 + PM__IMAGE_RUN + 1 - 16);
        }
        if (head >= 2 * PM__IMAGE_HAS_CHILD) return false;
        s += 1 + n, to += 1 + n;
        if (head & PM__IMAGE_HAS_VAL && !pm__delta_value(x, &s, &to)) return false;
        if (head & PM__IMAGE_HAS_CHILD && !pm__delta_number_add(&s, &to, shift, most)) return false;
        if (s > end) return false;
    }
    x->next = m ? (size_t)(s - m->data) : 0;
    x->to = to;
    x->put = put;
    x->taken = upto;
    return true;
}

/* Puts a new entry in, in the place of the old one that begins with the same byte. */
static bool pm__delta_take(pm__delta_work *w, pm__delta_mix *x, uint8_t b, const pm__imgout_edge *e) {
    unsigned upto;
    bool replaces = pm__delta_replaces(w, &x->old, b, &upto);
    if (w->status != PM_OK || !pm__delta_copy(x, upto)) return false;
    if (replaces) {
        pm__image_entry old;
        if (!pm__image_entry_at(x->m, &x->old, x->next, &old)) return false;
        x->next = old.end;
        x->taken++;
    }
    if (e->run_len == PM__DELTA_GONE) return true;
    if (x->put % PM__IMAGE_GROUP == 0) pm__delta_group(x, x->put, x->to);
    x->begin[1 + x->put++] = b;
    w->out.out.used = (size_t)(x->to - w->out.out.data);
    if (!pm__imgout_entry(&w->out, x->at, e)) return false; /* there is room */
    x->to = w->out.out.data + w->out.out.used;
    return true;
}

/* Appends a record of the n > 0 old and new entries of a frame. */
static bool pm__delta_append_mix(pm__delta_work *w, const pm__delta_frame *f, unsigned n) {
    pm__delta_mix x;
    memset(&x, 0, sizeof x);
    size_t used = w->out.out.used, head = 1 + n + 2 * ((n - 1) / PM__IMAGE_GROUP);
    if (!pm__list_room(&w->out.out, head + (n + 1) * PM__DELTA_ENTRY)) return pm__delta_stop(w, PM_NOMEM);
    w->out.image.data = w->out.out.data;
    if (!pm__delta_old(w, f, &x.old, &x.m, &x.base)) return false;
    x.begin = w->out.out.data + used;
    x.at = w->out.base + used;
    x.index = x.begin + 1 + n;
    x.first = x.to = x.begin + head;
    x.next = x.old.first;
    *x.begin = (uint8_t)(n - 1);
    bool ok = true;
    for (size_t k = f->first; ok && k < f->first + f->n; k++)
        ok = pm__delta_take(w, &x, w->bytes.data[k], pm__delta_edge(w, k));
    if (!ok || !pm__delta_copy(&x, x.old.n)) return pm__delta_stop(w, PM_CORRUPT);
    w->out.out.used = w->out.image.size = (size_t)(x.to - w->out.out.data);
    return true;
}

/* The one entry of a frame that has one. */
static bool pm__delta_sole(pm__delta_work *w, const pm__delta_frame *f, const pm__image_record *r, uint8_t *b,
                            pm__imgout_edge *e) {
    for (size_t k = f->first; k < f->first + f->n; k++) {
        *b = w->bytes.data[k];
        *e = *pm__delta_edge(w, k);
        if (e->run_len != PM__DELTA_GONE) return true;
    }
    for (unsigned i = 0; i < r->n; i++) {
        *b = r->bytes[i];
        if (!pm__delta_get(w, *b, e)) return false;
        if (e->run_len != PM__DELTA_GONE) return true;
    }
    return pm__delta_stop(w, PM_CORRUPT); /* uncovered: an entry was counted, in bytes that stay as they are */
}

/* The record of a frame's entries; 0: it has none. */
static bool pm__delta_child(pm__delta_work *w, const pm__delta_frame *f, unsigned n, size_t *child) {
    *child = n ? f->child : 0;
    if (!n || !f->n) return true;
    *child = pm__imgout_here(&w->out);
    return pm__delta_append_mix(w, f, n);
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

/* Puts bytes above an edge: `above`, `next` (NULL: none), and behind them the edge's own run. */
static bool pm__delta_lift(pm__delta_work *w, const uint8_t *above, size_t n, const uint8_t *next,
                            pm__imgout_edge *e) {
    w->run.used = 0;
    bool ok = pm__list_put(&w->run, above, n) && pm__list_put(&w->run, next, next != NULL) &&
              pm__list_put(&w->run, e->run, e->run_len) && pm__imgout_run(&w->out, w->run.data, w->run.used, e);
    return pm__delta_memory(w, ok);
}

/* Makes of the lowest frame the edge that leads to it from `above` bytes higher. *some: it is a location at all. A
   location with one entry and no value is none at which a path ends. */
static bool pm__delta_seal(pm__delta_work *w, size_t above, pm__imgout_edge *e, bool *some) {
    const pm__delta_frame *f = pm__delta_top(w);
    const uint8_t *run = w->path.data + (f->depth - above);
    pm__image_record r;
    const pm_image *m;
    size_t base;
    uint8_t b;
    if (!pm__delta_old(w, f, &r, &m, &base)) return false;
    unsigned n = pm__delta_total(w, f, &r);
    if (w->status != PM_OK) return false;
    *some = n || f->has_val || f->keep;
    memset(e, 0, sizeof *e);
    if (!*some) return true;
    if (n == 1 && !f->has_val) return pm__delta_sole(w, f, &r, &b, e) && pm__delta_lift(w, run, above, &b, e);
    e->has_val = f->has_val, e->val = f->val, e->len = f->len;
    return pm__delta_child(w, f, n, &e->child) && pm__delta_lift(w, run, above, NULL, e);
}

/* Closes the lowest frame, which is not the root. */
static bool pm__delta_close(pm__delta_work *w) {
    pm__imgout_edge e;
    bool some;
    const pm__delta_frame *f = pm__delta_top(w);
    size_t outer = f[-1].depth, first = f->first;
    if (!pm__delta_seal(w, f->depth - outer - 1, &e, &some)) return false;
    w->edges.used = w->bytes.used = first;
    w->frames.used--;
    uint8_t b = w->path.data[outer];
    return some ? pm__delta_put(w, b, &e) : pm__delta_remove(w, b);
}

static bool pm__delta_push(pm__delta_work *w, size_t depth, const pm__imgout_edge *e) {
    pm__delta_frame f;
    memset(&f, 0, sizeof f);
    f.depth = depth;
    f.first = w->edges.used;
    if (e) {
        f.has_val = e->has_val, f.val = e->val, f.len = e->len;
        f.child = e->child;
        f.keep = !e->has_val && !e->child;
    }
    return pm__delta_memory(w, pm__list_put(&w->frames, &f, 1));
}

/* Goes on from the lowest frame towards the end of the path, into the next one. */
static bool pm__delta_down(pm__delta_work *w) {
    const pm__delta_frame *f = pm__delta_top(w);
    size_t depth = f->depth, len = w->path.used;
    const uint8_t *s = w->path.data + depth;
    pm__imgout_edge e, rest;
    if (!pm__delta_get(w, *s, &e)) return false;
    if (e.run_len == PM__DELTA_GONE) return pm__delta_push(w, len, NULL);
    size_t left = len - depth - 1, most = e.run_len < left ? e.run_len : left;
    size_t m = most ? pm__lcp(e.run, s + 1, most) : 0;
    if (m == e.run_len) return pm__delta_push(w, depth + 1 + m, &e);
    rest = e;
    rest.run_len = (uint8_t)(e.run_len - m - 1);
    if (rest.run_len) memmove(rest.run, e.run + m + 1, rest.run_len);
    if (!pm__delta_push(w, depth + 1 + m, NULL)) return false;
    return pm__delta_put(w, e.run[m], &rest);
}

/* Makes the lowest frame that of a location. */
static bool pm__delta_seek(pm__delta_work *w, const uint8_t *path, size_t len) {
    size_t min = len < w->path.used ? len : w->path.used, same = min ? pm__lcp(w->path.data, path, min) : 0;
    while (pm__delta_top(w)->depth > same)
        if (!pm__delta_close(w)) return false;
    w->path.used = same;
    if (len > same && !pm__list_put(&w->path, path + same, len - same)) return pm__delta_stop(w, PM_NOMEM);
    while (pm__delta_top(w)->depth < len)
        if (!pm__delta_down(w)) return false;
    return true;
}

/* ---- changes ----------------------------------------------------------------------------------------------------- */

/* Puts below the lowest frame what lies below a place of the new map. */
static bool pm__delta_graft(pm__delta_work *w, const pm_place *p) {
    pm_fold f = {sizeof(pm__imgout_edge), PM_FOLD_JUMPING | PM_FOLD_CACHED, &w->out, pm__imgout_at, NULL, NULL};
    const pm_place from = p->depth ? *p : pm__place_root(p->node);
    pm__imgout_edge e;
    if (!w->folds) w->fold = pm__fold_begin(&f), w->folds = true;
    int s = pm__fold_walk(&w->fold, pm__fold_spot_of(&from, NULL), 0);
    if (s != PM_OK) return pm__delta_stop(w, (pm_status)s);
    memcpy(&e, pm__list_at(&w->fold.results, 0), sizeof e);
    w->fold.results.used = 0;
    if (!e.run_len) {
        pm__delta_top(w)->child = e.child;
        return true;
    }
    uint8_t b = e.run[0];
    e.run_len--;
    memmove(e.run, e.run + 1, e.run_len);
    return pm__delta_put(w, b, &e);
}

/* Gives the lowest frame a value. */
static bool pm__delta_set(pm__delta_work *w, pm_val v) {
    pm__delta_frame *f = pm__delta_top(w);
    pm__imgout_edge e;
    memset(&e, 0, sizeof e);
    pm_status s = pm__imgout_value(&w->out, v, &e);
    if (s != PM_OK) return pm__delta_stop(w, s);
    f->has_val = true, f->val = e.val, f->len = e.len;
    return true;
}

/* Makes the change that an end of edges tells, at the end of the path. What both have below it comes on its own. */
static bool pm__delta_change(pm__delta_work *w, const pm__contrast *c, const pm__list *path) {
    bool less = c->a.node && !c->b.node, more = c->b.node && !c->a.node;
    if (!pm__diff_changes(c) && !less && !more) return true;
    if (!pm__delta_seek(w, path->used ? path->data : (const uint8_t *)"", path->used)) return false;
    pm__delta_frame *f = pm__delta_top(w);
    f->keep = c->dangles_b;
    if (c->val_a) f->has_val = false;
    if (c->val_b && !pm__delta_set(w, *c->val_b)) return false;
    if (less) pm__delta_clear(w);
    return !more || pm__delta_graft(w, &c->b);
}

/* Closes all frames but the root. */
static pm_status pm__delta_finish(pm__delta_work *w) {
    while (w->status == PM_OK && w->frames.used > 1) (void)pm__delta_close(w);
    return w->status;
}

/* Makes all changes. PM_BUSY: they are too many. */
static pm_status pm__delta_changes(pm__delta_work *w, const pm_map *old, const pm_map *now, size_t most) {
    pm__diff d;
    pm__diff_item i;
    pm__diff_begin(&d, old, now);
    while (w->status == PM_OK && pm__diff_take(&d, &i)) {
        const pm__contrast *c = &i.c;
        if (!pm__delta_change(w, c, &d.path)) break;
        if (c->a.node && c->b.node && !pm__diff_open(&d, &i)) break;
        if (w->out.out.used - w->from > most) w->status = PM_BUSY;
    }
    if (w->status == PM_OK) w->status = pm__diff_status(&d);
    pm__diff_end(&d);
    return pm__delta_finish(w);
}
